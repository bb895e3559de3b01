/**
 * The pattern Noise_IK_25519_ChaChaPoly_BLAKE2s (revision 34, §7.5): two messages after which both sides know each other
 * and share keys nobody else can have. With a preshared key at the end it is IKpsk2 (§9): `noise_ikpsk2.ts`.
 *
 *   <- s                     the initiator knows the responder's static key beforehand
 *   -> e, es, s, ss          writeFirst, then readFirst (whose key is it?) and readFirstPayload (it is theirs)
 *   <- e, ee, se (, psk)     writeSecond, then readSecond
 *
 * Reading the first message comes in two steps, because the caller has to look up who it is before going on, and can
 * have `ss` ready. A secret that would be all zero (a public key of small order) ends a handshake like a false tag does.
 */

import { type NoiseCipher, type SplitKeys, SymmetricState } from "./noise.ts";
import { type Bytes, KEY_BYTES } from "./primitives.ts";
import type { Random } from "./random.ts";

export const IK_NAME = "Noise_IK_25519_ChaChaPoly_BLAKE2s";

export interface NoiseCrypto extends NoiseCipher {
  /** Undefined when the secret would be all zero. */
  x25519(privateKey: Bytes, publicKey: Bytes): Bytes | undefined;
}

export interface NoiseKeyPair {
  readonly privateKey: Bytes;
  readonly publicKey: Bytes;
}

/** A new key pair for one handshake. Disposing wipes it. */
export function drawKeyPair(
  suite: { x25519PublicKey(privateKey: Bytes): Bytes },
  random: Random,
): NoiseKeyPair & Disposable {
  const privateKey = random.fill(new Uint8Array(KEY_BYTES));
  return {
    privateKey,
    publicKey: suite.x25519PublicKey(privateKey),
    [Symbol.dispose]: () => void privateKey.fill(0),
  };
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
export function startIk(cipher: NoiseCipher, prologue: Bytes, responderKey: Bytes): SymmetricState {
  return begin(SymmetricState.start(cipher, IK_NAME), prologue, responderKey);
}

/** What both sides know before they speak: the prologue, and the responder's key. */
export function begin(state: SymmetricState, prologue: Bytes, responderKey: Bytes): SymmetricState {
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
  state.mixEphemeral(ephemeral.publicKey);
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
  state.mixEphemeral(message.ephemeral);
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
  /** Of IKpsk2, and of that alone. */
  readonly presharedKey?: Bytes;
  readonly payload: Bytes;
}

export function writeSecond(
  suite: NoiseCrypto,
  state: SymmetricState,
  { ephemeral, remoteEphemeral, remoteStatic, presharedKey, payload }: WriteSecond,
): { message: SecondMessage; keys: SplitKeys } | undefined {
  state.mixEphemeral(ephemeral.publicKey);
  if (!mixAgreement(suite, state, ephemeral.privateKey, remoteEphemeral)) return undefined;
  if (!mixAgreement(suite, state, ephemeral.privateKey, remoteStatic)) return undefined;
  mixPresharedKey(state, presharedKey);
  const sealedPayload = state.encryptAndHash(payload);
  return { message: { ephemeral: ephemeral.publicKey, sealedPayload }, keys: state.split() };
}

export interface ReadSecond {
  readonly local: NoiseKeyPair;
  /** The private half of the key that `writeFirst` sent. */
  readonly ephemeralPrivate: Bytes;
  /** Of IKpsk2, and of that alone. */
  readonly presharedKey?: Bytes;
  readonly message: SecondMessage;
}

export function readSecond(
  suite: NoiseCrypto,
  state: SymmetricState,
  { local, ephemeralPrivate, presharedKey, message }: ReadSecond,
): { payload: Bytes; keys: SplitKeys } | undefined {
  state.mixEphemeral(message.ephemeral);
  if (!mixAgreement(suite, state, ephemeralPrivate, message.ephemeral)) return undefined;
  if (!mixAgreement(suite, state, local.privateKey, message.ephemeral)) return undefined;
  mixPresharedKey(state, presharedKey);
  const payload = state.decryptAndHash(message.sealedPayload);
  return payload && { payload, keys: state.split() };
}

function mixPresharedKey(state: SymmetricState, presharedKey: Bytes | undefined): void {
  if ((presharedKey !== undefined) !== state.hasPresharedKey) {
    throw new TypeError("Cannot shake hands: there must be a preshared key in IKpsk2, and none in IK");
  }
  if (presharedKey) state.mixKeyAndHash(presharedKey);
}

/** Mixes the secret of two keys in; false when it would be all zero. */
export function mixAgreement(
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
