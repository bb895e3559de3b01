/**
 * The pattern Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s (revision 34, §7.5, §9): two messages after which both sides know
 * each other and share keys nobody else can have. WireGuard is this with its own prologue and payloads.
 *
 *   <- s                     the initiator knows the responder's static key beforehand
 *   -> e, es, s, ss          writeFirst, then readFirst (whose key is it?) and readFirstPayload (it is theirs)
 *   <- e, ee, se, psk        writeSecond, then readSecond
 *
 * Reading the first message comes in two steps, because the caller has to look up who it is before going on, and can
 * have `ss` ready. A secret that would be all zero (a public key of small order) ends a handshake like a false tag does.
 */

import { type NoiseCipher, type SplitKeys, SymmetricState } from "./noise.ts";
import type { Bytes } from "./primitives.ts";

export const IKPSK2_NAME = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";

export interface NoiseCrypto extends NoiseCipher {
  /** Undefined when the secret would be all zero. */
  x25519(privateKey: Bytes, publicKey: Bytes): Bytes | undefined;
}

export interface NoiseKeyPair {
  readonly privateKey: Bytes;
  readonly publicKey: Bytes;
}

/** The far side, as known beforehand. */
export interface NoiseRemote {
  readonly publicKey: Bytes;
  /** DH of both static keys. */
  readonly shared: Bytes;
}

export interface FirstMessage {
  readonly ephemeral: Bytes;
  readonly sealedStatic: Bytes;
  readonly sealedPayload: Bytes;
}

export interface SecondMessage {
  readonly ephemeral: Bytes;
  readonly sealedPayload: Bytes;
}

/** The state before the first message. Both sides begin with the same, so one per static key will do; clone it. */
export function startIkPsk2(cipher: NoiseCipher, prologue: Bytes, responderKey: Bytes): SymmetricState {
  const state = SymmetricState.start(cipher, IKPSK2_NAME);
  state.mixHash(prologue);
  state.mixHash(responderKey);
  return state;
}

export interface WriteFirst {
  readonly local: NoiseKeyPair;
  readonly ephemeral: NoiseKeyPair;
  readonly remote: NoiseRemote;
  readonly payload: Bytes;
}

export function writeFirst(
  suite: NoiseCrypto,
  state: SymmetricState,
  { local, ephemeral, remote, payload }: WriteFirst,
): FirstMessage | undefined {
  mixEphemeral(state, ephemeral.publicKey);
  if (!mixAgreement(suite, state, ephemeral.privateKey, remote.publicKey)) return undefined;
  const sealedStatic = state.encryptAndHash(local.publicKey);
  state.mixKey(remote.shared);
  return { ephemeral: ephemeral.publicKey, sealedStatic, sealedPayload: state.encryptAndHash(payload) };
}

/** Whose static key the first message claims; whoever knows the responder's key can claim any. */
export function readFirst(
  suite: NoiseCrypto,
  state: SymmetricState,
  { local, message }: { readonly local: NoiseKeyPair; readonly message: Omit<FirstMessage, "sealedPayload"> },
): Bytes | undefined {
  mixEphemeral(state, message.ephemeral);
  if (!mixAgreement(suite, state, local.privateKey, message.ephemeral)) return undefined;
  return state.decryptAndHash(message.sealedStatic);
}

/** The payload, which only the owner of the static key can have sealed. */
export function readFirstPayload(
  state: SymmetricState,
  shared: Bytes,
  sealedPayload: Bytes,
): Bytes | undefined {
  state.mixKey(shared);
  return state.decryptAndHash(sealedPayload);
}

export interface WriteSecond {
  readonly ephemeral: NoiseKeyPair;
  readonly remoteEphemeral: Bytes;
  readonly remoteStatic: Bytes;
  readonly presharedKey: Bytes;
  readonly payload: Bytes;
}

export function writeSecond(
  suite: NoiseCrypto,
  state: SymmetricState,
  { ephemeral, remoteEphemeral, remoteStatic, presharedKey, payload }: WriteSecond,
): { message: SecondMessage; keys: SplitKeys } | undefined {
  mixEphemeral(state, ephemeral.publicKey);
  if (!mixAgreement(suite, state, ephemeral.privateKey, remoteEphemeral)) return undefined;
  if (!mixAgreement(suite, state, ephemeral.privateKey, remoteStatic)) return undefined;
  state.mixKeyAndHash(presharedKey);
  const sealedPayload = state.encryptAndHash(payload);
  return { message: { ephemeral: ephemeral.publicKey, sealedPayload }, keys: state.split() };
}

export interface ReadSecond {
  readonly local: NoiseKeyPair;
  /** The private half of the key that `writeFirst` sent. */
  readonly ephemeralPrivate: Bytes;
  readonly presharedKey: Bytes;
  readonly message: SecondMessage;
}

export function readSecond(
  suite: NoiseCrypto,
  state: SymmetricState,
  { local, ephemeralPrivate, presharedKey, message }: ReadSecond,
): { payload: Bytes; keys: SplitKeys } | undefined {
  mixEphemeral(state, message.ephemeral);
  if (!mixAgreement(suite, state, ephemeralPrivate, message.ephemeral)) return undefined;
  if (!mixAgreement(suite, state, local.privateKey, message.ephemeral)) return undefined;
  state.mixKeyAndHash(presharedKey);
  const payload = state.decryptAndHash(message.sealedPayload);
  return payload && { payload, keys: state.split() };
}

function mixEphemeral(state: SymmetricState, publicKey: Bytes): void {
  state.mixHash(publicKey);
  state.mixChain(publicKey);
}

function mixAgreement(
  suite: NoiseCrypto,
  state: SymmetricState,
  privateKey: Bytes,
  publicKey: Bytes,
): boolean {
  const secret = suite.x25519(privateKey, publicKey);
  if (!secret) return false;
  state.mixKey(secret);
  secret.fill(0);
  return true;
}
