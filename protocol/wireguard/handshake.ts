/**
 * WireGuard's handshake: Noise IKpsk2 with WireGuard's prologue, laid into an initiation and a response. Whitepaper
 * §5.4.2 to §5.4.5.
 *
 *   initiator  createInitiation ─────────────► openInitiation, finishInitiation   responder
 *              readResponse     ◄───────────── createResponse
 *
 * Packets leave here with their macs zero (`cookie.ts` stamps them) and must have the right type and length when they
 * come in (`messages.ts`). Reading changes no state of ours: a false packet gives undefined and everything is as before.
 * Not here: whether a timestamp is new, and which peer it is.
 */

import { INITIATION_BYTES, INITIATION_TYPE, RESPONSE_BYTES, RESPONSE_TYPE, TAG_BYTES } from "./constants.ts";
import type { SymmetricState } from "../noise.ts";
import { drawKeyPair, readFirst, readFirstPayload, readSecond, writeFirst, writeSecond } from "../noise_ik.ts";
import { startIkPsk2 } from "../noise_ikpsk2.ts";
import { type Bytes, KEY_BYTES } from "../primitives.ts";
import type { Random } from "../random.ts";
import type { WireGuardCrypto } from "./crypto.ts";
import { INITIATION, RESPONSE } from "./messages.ts";
import type { Key } from "./settings.ts";
import { TIMESTAMP_BYTES } from "./timestamp.ts";

export const PROLOGUE = "WireGuard v1 zx2c4 Jason@zx2c4.com";

export interface HandshakeTools {
  readonly crypto: WireGuardCrypto;
  readonly random: Random;
}

export interface LocalStatic {
  readonly privateKey: Key;
  readonly publicKey: Key;
}

export interface RemoteStatic {
  readonly publicKey: Key;
  /** Zeros when there is none. */
  readonly presharedKey: Key;
  /** `crypto.x25519(local.privateKey, publicKey)`, kept by the caller; undefined, as for a false key, ends the handshake. */
  readonly shared: Key | undefined;
}

/** Keys of one session, for one side. */
export interface SessionKeys {
  readonly send: Bytes;
  readonly receive: Bytes;
}

/** What the initiator keeps until the response comes. Disposing wipes it. */
export interface InitiatorState extends Disposable {
  readonly noise: SymmetricState;
  readonly ephemeralPrivate: Key;
}

/** An initiation of which it is known who claims to have sent it. Disposing wipes it. */
export interface OpenedInitiation extends Disposable {
  readonly remotePublicKey: Key;
  readonly senderIndex: number;
  readonly noise: SymmetricState;
  readonly ephemeral: Bytes;
  readonly sealedTimestamp: Bytes;
}

/** What the responder keeps until it answers. Disposing wipes it. */
export interface ResponderState extends Disposable {
  readonly noise: SymmetricState;
  readonly remoteIndex: number;
  readonly remoteEphemeral: Bytes;
}

/** An initiation for a peer. `timestamp` must be later than that of the last. */
export function createInitiation(
  tools: HandshakeTools,
  local: LocalStatic,
  remote: RemoteStatic,
  { senderIndex, timestamp }: { readonly senderIndex: number; readonly timestamp: Bytes },
): { packet: Bytes; state: InitiatorState } | undefined {
  if (!remote.shared) return undefined;
  using noise = begin(tools.crypto, remote.publicKey);
  const ephemeral = drawKeyPair(tools.crypto, tools.random);
  const message = writeFirst(tools.crypto, noise, {
    local,
    ephemeral,
    remote: { publicKey: remote.publicKey, shared: remote.shared },
    payload: timestamp,
  });
  if (!message) return undefined;
  const packet = new Uint8Array(INITIATION_BYTES);
  const view = new DataView(packet.buffer);
  view.setUint32(0, INITIATION_TYPE, true);
  view.setUint32(INITIATION.sender, senderIndex, true);
  packet.set(message.ephemeral, INITIATION.ephemeral);
  packet.set(message.sealedStatic, INITIATION.static);
  packet.set(message.sealedPayload, INITIATION.timestamp);
  return { packet, state: keepForResponse(noise.clone(), ephemeral.privateKey) };
}

function keepForResponse(noise: SymmetricState, ephemeralPrivate: Key): InitiatorState {
  return {
    noise,
    ephemeralPrivate,
    [Symbol.dispose]() {
      noise[Symbol.dispose]();
      ephemeralPrivate.fill(0);
    },
  };
}

/** One key agreement: says only who claims to have sent it. */
export function openInitiation(
  suite: WireGuardCrypto,
  local: LocalStatic,
  packet: Bytes,
): OpenedInitiation | undefined {
  const noise = begin(suite, local.publicKey);
  const ephemeral = cut(packet, INITIATION.ephemeral, KEY_BYTES);
  const sealedStatic = cut(packet, INITIATION.static, KEY_BYTES + TAG_BYTES);
  const remotePublicKey = readFirst(suite, noise, { local, message: { ephemeral, sealedStatic } });
  if (!remotePublicKey) return undefined;
  return {
    remotePublicKey,
    senderIndex: indexAt(packet, INITIATION.sender),
    noise,
    ephemeral,
    sealedTimestamp: cut(packet, INITIATION.timestamp, TIMESTAMP_BYTES + TAG_BYTES),
    [Symbol.dispose]: () => noise[Symbol.dispose](),
  };
}

/**
 * Whether the peer that an initiation names has sent it; no key agreement when `remote.shared` is there already. The
 * opened initiation is used up either way.
 */
export function finishInitiation(
  opened: OpenedInitiation,
  remote: RemoteStatic,
): { timestamp: Bytes; senderIndex: number; state: ResponderState } | undefined {
  const { noise, ephemeral, sealedTimestamp, senderIndex } = opened;
  const timestamp = remote.shared && readFirstPayload(noise, remote.shared, sealedTimestamp);
  if (!timestamp) {
    opened[Symbol.dispose]();
    return undefined;
  }
  const state = {
    noise,
    remoteIndex: senderIndex,
    remoteEphemeral: ephemeral,
    [Symbol.dispose]: () => noise[Symbol.dispose](),
  };
  return { timestamp, senderIndex, state };
}

/** The answer to an initiation, and the session's keys. The state is used up. */
export function createResponse(
  tools: HandshakeTools,
  state: ResponderState,
  remote: RemoteStatic,
  senderIndex: number,
): { packet: Bytes; keys: SessionKeys } | undefined {
  using ephemeral = drawKeyPair(tools.crypto, tools.random);
  using noise = state.noise;
  const written = writeSecond(tools.crypto, noise, {
    ephemeral,
    remoteEphemeral: state.remoteEphemeral,
    remoteStatic: remote.publicKey,
    presharedKey: remote.presharedKey,
    payload: new Uint8Array(0),
  });
  if (!written) return undefined;
  const packet = new Uint8Array(RESPONSE_BYTES);
  const view = new DataView(packet.buffer);
  view.setUint32(0, RESPONSE_TYPE, true);
  view.setUint32(RESPONSE.sender, senderIndex, true);
  view.setUint32(RESPONSE.receiver, state.remoteIndex, true);
  packet.set(written.message.ephemeral, RESPONSE.ephemeral);
  packet.set(written.message.sealedPayload, RESPONSE.empty);
  return { packet, keys: { send: written.keys.second, receive: written.keys.first } };
}

/** The answer to our initiation. The state is still good when the answer is false; wipe it when it was not. */
export function readResponse(
  suite: WireGuardCrypto,
  local: LocalStatic,
  remote: RemoteStatic,
  { state, packet }: { readonly state: InitiatorState; readonly packet: Bytes },
): { senderIndex: number; keys: SessionKeys } | undefined {
  using noise = state.noise.clone();
  const read = readSecond(suite, noise, {
    local,
    ephemeralPrivate: state.ephemeralPrivate,
    presharedKey: remote.presharedKey,
    message: {
      ephemeral: cut(packet, RESPONSE.ephemeral, KEY_BYTES),
      sealedPayload: cut(packet, RESPONSE.empty, TAG_BYTES),
    },
  });
  if (!read) return undefined;
  return {
    senderIndex: indexAt(packet, RESPONSE.sender),
    keys: { send: read.keys.first, receive: read.keys.second },
  };
}

function begin(suite: WireGuardCrypto, responderKey: Bytes): SymmetricState {
  return startIkPsk2(suite, new TextEncoder().encode(PROLOGUE), responderKey);
}

/** A copy, because packets lie in buffers that are used again. */
function cut(packet: Bytes, offset: number, length: number): Bytes {
  return new Uint8Array(packet.subarray(offset, offset + length));
}

function indexAt(packet: Bytes, offset: number): number {
  return new DataView(packet.buffer, packet.byteOffset).getUint32(offset, true);
}
