/**
 * Whether a client may let its supernode terminate its tunnel: it has wished for that, the supernode that the offer names
 * is the one it is connected to, the keys are that one's own, and in a closed network its certificate says that it is a
 * supernode. Otherwise whoever passes offers on could read what only the exit is to read.
 */

import { SUPERNODE_ROLE } from "./auth.ts";
import type { SessionOffer } from "./commands.ts";
import type { ExitWish } from "./messages.ts";
import { type PeerKeysCheck, type PeerKeysRefusal, refusalOfPeerKeys } from "./peer_keys.ts";

export type TerminationRefusal = PeerKeysRefusal | "not_wished" | "other_supernode";

export interface TerminationCheck extends Omit<PeerKeysCheck, "role" | "region"> {
  readonly wish: Pick<ExitWish, "relay">;
  /** The one it is connected to. */
  readonly supernodeId: string;
}

/**
 * Why the offer cannot be taken, or undefined: also when nothing is terminated, which is never worse for the client. Never
 * throws. The exit's own keys are another question.
 */
export function refusalOfTermination(
  { packets }: Pick<SessionOffer, "packets">,
  { wish, supernodeId, ...check }: TerminationCheck,
): TerminationRefusal | undefined {
  const terminatedBy = packets?.terminatedBy;
  if (!terminatedBy) return undefined;
  if (wish.relay !== "terminate") return "not_wished";
  if (terminatedBy.peerId !== supernodeId) return "other_supernode";
  return refusalOfPeerKeys(terminatedBy, { ...check, role: SUPERNODE_ROLE });
}
