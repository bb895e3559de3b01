/**
 * The pattern Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s (revision 34, §7.5, §9): IK with a preshared key in the second
 * message. Its messages are those of `noise_ik.ts`. WireGuard is this with its own prologue and payloads.
 */

import { type NoiseCipher, SymmetricState } from "./noise.ts";
import { begin } from "./noise_ik.ts";
import type { Bytes } from "./primitives.ts";

export const IKPSK2_NAME = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";

/** The state before the first message. Both sides begin with the same, so one per static key will do; clone it. */
export function startIkPsk2(cipher: NoiseCipher, prologue: Bytes, responderKey: Bytes): SymmetricState {
  return begin(SymmetricState.start(cipher, IKPSK2_NAME, { hasPresharedKey: true }), prologue, responderKey);
}
