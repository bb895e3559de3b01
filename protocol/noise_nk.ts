/**
 * The pattern Noise_NK_25519_ChaChaPoly_BLAKE2s (revision 34, §7.4): two messages after which the initiator knows that
 * the responder is the owner of a key, and the responder knows nothing of the initiator.
 *
 *   <- s             the initiator knows the responder's static key beforehand
 *   -> e, es         writeFirstNk, then readFirstNk
 *   <- e, ee         writeSecondNk, then readSecondNk
 *
 * The first message can be sent again by whoever has seen it: what is in it may have no effect that matters twice.
 * A secret that would be all zero ends a handshake like a false tag does.
 */

import { type NoiseCipher, type SplitKeys, SymmetricState } from "./noise.ts";
import { begin, mixAgreement, type NoiseCrypto, type NoiseKeyPair, type SecondMessage } from "./noise_ik.ts";
import type { Bytes } from "./primitives.ts";

export const NK_NAME = "Noise_NK_25519_ChaChaPoly_BLAKE2s";

/** Either of the two messages. */
export type NkMessage = SecondMessage;

/** The state before the first message, the same on both sides. */
export function startNk(cipher: NoiseCipher, prologue: Bytes, responderKey: Bytes): SymmetricState {
  return begin(SymmetricState.start(cipher, NK_NAME), prologue, responderKey);
}

export interface WriteFirstNk {
  readonly ephemeral: NoiseKeyPair;
  /** The responder's static key. */
  readonly remoteStatic: Bytes;
  readonly payload: Bytes;
}

export function writeFirstNk(
  suite: NoiseCrypto,
  state: SymmetricState,
  { ephemeral, remoteStatic, payload }: WriteFirstNk,
): NkMessage | undefined {
  state.mixEphemeral(ephemeral.publicKey);
  if (!mixAgreement(suite, state, ephemeral.privateKey, remoteStatic)) return undefined;
  return { ephemeral: ephemeral.publicKey, sealedPayload: state.encryptAndHash(payload) };
}

/** The payload of the first message; undefined when it was not made for the owner of this key. */
export function readFirstNk(
  suite: NoiseCrypto,
  state: SymmetricState,
  { local, message }: { readonly local: NoiseKeyPair; readonly message: NkMessage },
): Bytes | undefined {
  state.mixEphemeral(message.ephemeral);
  if (!mixAgreement(suite, state, local.privateKey, message.ephemeral)) return undefined;
  return state.decryptAndHash(message.sealedPayload);
}

export interface WriteSecondNk {
  readonly ephemeral: NoiseKeyPair;
  readonly remoteEphemeral: Bytes;
  readonly payload: Bytes;
}

export function writeSecondNk(
  suite: NoiseCrypto,
  state: SymmetricState,
  { ephemeral, remoteEphemeral, payload }: WriteSecondNk,
): { message: NkMessage; keys: SplitKeys } | undefined {
  state.mixEphemeral(ephemeral.publicKey);
  if (!mixAgreement(suite, state, ephemeral.privateKey, remoteEphemeral)) return undefined;
  const sealedPayload = state.encryptAndHash(payload);
  return { message: { ephemeral: ephemeral.publicKey, sealedPayload }, keys: state.split() };
}

/** What the responder answered; undefined when it was somebody else. */
export function readSecondNk(
  suite: NoiseCrypto,
  state: SymmetricState,
  { ephemeral, message }: { readonly ephemeral: NoiseKeyPair; readonly message: NkMessage },
): { payload: Bytes; keys: SplitKeys } | undefined {
  state.mixEphemeral(message.ephemeral);
  if (!mixAgreement(suite, state, ephemeral.privateKey, message.ephemeral)) return undefined;
  const payload = state.decryptAndHash(message.sealedPayload);
  return payload && { payload, keys: state.split() };
}
