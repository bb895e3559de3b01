/**
 * What commands such as `culvert peer status` and `culvert peer share` ask the peer that runs with the same state directory.
 */

import { z } from "zod";
import { countSchema, peerIdSchema } from "../../protocol/fields.ts";
import { peerCardSchema } from "../../protocol/peers/card.ts";
import { reportSchema } from "../../protocol/tracker/messages.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { askControlSocket, type ControlWords } from "../control_socket.ts";
import type { RoleContext } from "../role.ts";

const requestSchema = z.discriminatedUnion("do", [
  z.object({ do: z.literal("status") }),
  /** To be passed on to the trackers where it is listed. */
  z.object({ do: z.literal("report"), report: reportSchema }),
]);
export type PeerRequest = z.infer<typeof requestSchema>;

const waySchema = z.enum(["direct", "relayed"]);

export const peerReportSchema = z.object({
  /** As others find it: its addresses are those that they can dial. */
  card: peerCardSchema,
  /** The shared folder, absolute. */
  folder: z.string().max(4096),
  /** Where its owner sees it. */
  url: z.string().max(64),
  trackers: z.array(z.object({ url: z.string(), isListed: z.boolean(), problem: z.string().optional() })),
  relays: z.array(z.object({ url: z.string(), isUp: z.boolean() })),
  /** Who is connected. */
  guests: z.array(z.object({
    peerId: peerIdSchema,
    way: waySchema,
    scope: z.string(),
    mayUpload: z.boolean(),
  })).max(100),
  guestCount: countSchema,
  index: z.object({ files: countSchema, bytes: countSchema, pending: countSchema }),
  sentBytes: countSchema,
});
export type PeerReport = z.infer<typeof peerReportSchema>;

/** The answer is how the peer is, whatever was asked. */
export const peerWords: ControlWords<PeerRequest, PeerReport> = {
  role: "peer",
  request: requestSchema,
  answer: peerReportSchema,
};

export function peerSocketPath(stateDir: string): string {
  return `${stateDir}/peer.sock`;
}

/** How the peer that runs here is. Rejects with `not_up` when none does. */
export async function askPeer(
  { clock, signal, stateDir }: Pick<RoleContext, "clock" | "signal" | "stateDir">,
): Promise<PeerReport> {
  const at = { path: peerSocketPath(stateDir), words: peerWords };
  const report = await askControlSocket(at, { do: "status" }, { clock, signal });
  if (report) return report;
  throw new CulvertError("not_up", "Cannot ask the peer: one must run with this --state-dir; there is none");
}
