/**
 * How the two ends of a sealed stream agree on its keys: Noise IK, whose initiator knows the responder's key beforehand.
 *
 *   first    ephemeral[32] | sealed static[48] | sealed nothing[16]       from the initiator
 *   second   ephemeral[32] | sealed nothing[16]
 *   records as in `sealed_stream.ts`; the initiator's first holds one byte, the version 1
 *
 * That first record says that the initiator is there now: the first message alone may be an old one, sent again. Until it
 * has come the responder does nothing for it. The prologue is what both must mean by the stream; in a session it is the
 * session's id, so that nobody can join a stream of one session to another.
 */

import type { SymmetricState } from "./noise.ts";
import {
  drawKeyPair,
  type NoiseKeyPair,
  readFirst,
  readFirstPayload,
  readSecond,
  startIk,
  writeFirst,
  writeSecond,
} from "./noise_ik.ts";
import { type Bytes, KEY_BYTES } from "./primitives.ts";
import type { Random } from "./random.ts";
import { SESSION_DOMAIN, signedBytes } from "./signing.ts";
import { TAG_BYTES } from "./wireguard/constants.ts";
import type { WireGuardCrypto } from "./wireguard/crypto.ts";

const SEALED_KEY_BYTES = KEY_BYTES + TAG_BYTES;
export const FIRST_BYTES = KEY_BYTES + SEALED_KEY_BYTES + TAG_BYTES;
export const SECOND_BYTES = KEY_BYTES + TAG_BYTES;
/** The text of the initiator's first record. */
export const CONFIRMATION: Uint8Array = Uint8Array.of(1);

const NOTHING: Bytes = new Uint8Array(0);

export interface SealTools {
  readonly crypto: WireGuardCrypto;
  /** Must be unpredictable. */
  readonly random: Random;
}

/** The keys of a sealed stream, for one side. */
export interface SealKeys {
  readonly send: Bytes;
  readonly receive: Bytes;
}

/** What both ends of a session's streams begin with. */
export function sessionPrologue(sessionId: string): Bytes {
  return signedBytes(SESSION_DOMAIN, [sessionId]);
}

export interface InitiatorOptions {
  readonly local: NoiseKeyPair;
  /** The key that the responder must have. */
  readonly remote: Bytes;
  readonly prologue: Bytes;
}

/** The initiator's side. Disposing wipes it. */
export class SealInitiator implements Disposable {
  readonly #tools: SealTools;
  readonly #local: NoiseKeyPair;
  readonly #ephemeral: NoiseKeyPair & Disposable;
  readonly #state: SymmetricState;
  /** The first message; undefined when the remote key is none that anyone can have. */
  readonly first: Bytes | undefined;

  constructor(tools: SealTools, { local, remote, prologue }: InitiatorOptions) {
    const { crypto: suite, random } = tools;
    this.#tools = tools;
    this.#local = local;
    this.#ephemeral = drawKeyPair(suite, random);
    this.#state = startIk(suite, prologue, remote);
    const shared = suite.x25519(local.privateKey, remote);
    this.first = shared && this.#write({ publicKey: remote, shared });
    shared?.fill(0);
  }

  /** The keys, once the second message has come; undefined when it is not the responder's. */
  finish(second: Bytes): SealKeys | undefined {
    const read = readSecond(this.#tools.crypto, this.#state, {
      local: this.#local,
      ephemeralPrivate: this.#ephemeral.privateKey,
      message: { ephemeral: second.slice(0, KEY_BYTES), sealedPayload: second.slice(KEY_BYTES, SECOND_BYTES) },
    });
    return read && { send: read.keys.first, receive: read.keys.second };
  }

  #write(remote: { publicKey: Bytes; shared: Bytes }): Bytes | undefined {
    const written = writeFirst(this.#tools.crypto, this.#state, {
      local: this.#local,
      ephemeral: this.#ephemeral,
      remote,
      payload: NOTHING,
    });
    if (!written) return undefined;
    const first = new Uint8Array(FIRST_BYTES);
    first.set(written.ephemeral);
    first.set(written.sealedStatic, KEY_BYTES);
    first.set(written.sealedPayload, KEY_BYTES + SEALED_KEY_BYTES);
    return first;
  }

  [Symbol.dispose](): void {
    this.#ephemeral[Symbol.dispose]();
    this.#state[Symbol.dispose]();
  }
}

export interface ResponderOptions {
  readonly local: NoiseKeyPair;
  readonly prologue: Bytes;
  /** Whether streams of the owner of this key are taken. */
  accept(remoteKey: Bytes): boolean;
}

/** The responder's answer to a first message, and the keys; undefined when it is not one for us, or not accepted. */
export function answerFirst(
  { crypto: suite, random }: SealTools,
  { local, prologue, accept }: ResponderOptions,
  first: Bytes,
): { second: Bytes; keys: SealKeys } | undefined {
  using state = startIk(suite, prologue, local.publicKey);
  const remoteEphemeral = first.slice(0, KEY_BYTES);
  const sealedStatic = first.slice(KEY_BYTES, KEY_BYTES + SEALED_KEY_BYTES);
  const remoteStatic = readFirst(suite, state, { local, message: { ephemeral: remoteEphemeral, sealedStatic } });
  if (!remoteStatic || !accept(remoteStatic)) return undefined;
  const shared = suite.x25519(local.privateKey, remoteStatic);
  if (!shared) return undefined;
  const isTheirs = readFirstPayload(state, shared, first.slice(KEY_BYTES + SEALED_KEY_BYTES, FIRST_BYTES));
  shared.fill(0);
  if (!isTheirs) return undefined;
  using ephemeral = drawKeyPair(suite, random);
  const written = writeSecond(suite, state, { ephemeral, remoteEphemeral, remoteStatic, payload: NOTHING });
  if (!written) return undefined;
  const second = new Uint8Array(SECOND_BYTES);
  second.set(written.message.ephemeral);
  second.set(written.message.sealedPayload, KEY_BYTES);
  return { second, keys: { send: written.keys.second, receive: written.keys.first } };
}
