/**
 * The nodes that are connected now, as those see them who choose among them, dial through them or watch over them.
 * `node_tunnels.ts` is what really has them; tests have their own.
 */

import type { EgressSummary } from "../../protocol/sharing/node_messages.ts";
import type { DeviceInfo } from "../../protocol/sharing/records.ts";
import type { Path } from "../../protocol/stream.ts";

export interface LiveNode {
  readonly nodeId: string;
  readonly ownerId: string;
  /** Its own, as long as it lives: fd63:756c:7665:7274:… made from the node's id. */
  readonly virtualAddress: string;
  readonly region: string;
  readonly country: string | undefined;
  readonly city: string | undefined;
  /** Where its tunnels come from. */
  readonly address: string;
  readonly info: DeviceInfo;
  /** What it lets out, by its own word; left out where that is not known. */
  readonly egress?: EgressSummary;
  readonly connectedAtMs: number;
  /** Takes new streams: up, not paused, not draining. */
  readonly isOpen: boolean;
  readonly tunnels: number;
  readonly streams: number;
  readonly rttMs: number | undefined;
  /** Dials through the node: rejects with what the node met with, or `path_down` when its tunnels have gone. */
  readonly path: Path;
  /** Aborts when its last tunnel has gone. */
  readonly gone: AbortSignal;
}

export interface LiveNodes {
  get(nodeId: string): LiveNode | undefined;
  byAddress(virtualAddress: string): LiveNode | undefined;
  all(): Iterable<LiveNode>;
  readonly size: number;
  /** Ends a node's tunnels, telling it why; it may come back unless it is banned. */
  disconnect(nodeId: string, reason: string): void;
  /** Tells the node something for its owner: its standing, a notice. */
  notify(nodeId: string, text: string): void;
}
