/**
 * What clients' traffic shows of a node, for the quality watchdog: it sees more of a node than any probe, and only what
 * cannot be the target's doing is held against the node.
 */

import type { DialFailure } from "../errors.ts";

export type NodeReport =
  & {
    readonly nodeId: string;
    /** Whose traffic it was. */
    readonly userId: string;
    readonly tookMs: number;
  }
  & (
    /** It opened a stream. */
    | { readonly kind: "dialled" }
    /** It could not, for a reason of its own. */
    | { readonly kind: "failed"; readonly failure: DialFailure }
    /** It said nothing at all to a dial. */
    | { readonly kind: "silent" }
    /** The first byte came so long after what was asked; the target has a share in that. */
    | { readonly kind: "answered" }
    /** Something was asked on a stream and nothing ever came, though the client waited. */
    | { readonly kind: "stalled" }
  );

export type ReportNode = (report: NodeReport) => void;
