/**
 * Whether a client may let its supernode terminate its tunnel: it has wished for that, the supernode that the offer names
 * is the one it is connected to, the keys are that one's own, and in a closed network its certificate says that it is a
 * supernode. Otherwise whoever passes offers on could read what only the exit is to read.
 */

import { SUPERNODE_ROLE } from "./auth.ts";
import type { SessionOffer } from "./commands.ts";
import type { RelayMode } from "./packets.ts";
import { type PeerKeysCheck, type PeerKeysRefusal, refusalOfPeerKeys } from "./peer_keys.ts";

export type TerminationRefusal = PeerKeysRefusal | "not_wished" | "not_terminated" | "other_supernode";

export interface TerminationCheck extends Omit<PeerKeysCheck, "role" | "region"> {
  readonly relay: RelayMode;
  /** The one it is connected to. */
  readonly supernodeId: string;
}

/**
 * Why the offer cannot be taken, or undefined: also for what carries no packets. Never throws. The exit's own keys are
 * another question.
 */
export function refusalOfTermination(
  { packets }: Pick<SessionOffer, "packets">,
  { relay, supernodeId, ...check }: TerminationCheck,
): TerminationRefusal | undefined {
  if (!packets) return undefined;
  const { terminatedBy } = packets;
  if (!terminatedBy) return relay === "terminate" ? "not_terminated" : undefined;
  if (relay !== "terminate") return "not_wished";
  if (terminatedBy.peerId !== supernodeId) return "other_supernode";
  return refusalOfPeerKeys(terminatedBy, { ...check, role: SUPERNODE_ROLE });
}
