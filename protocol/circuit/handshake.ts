/**
 * How a circuit's owner agrees on keys with one hop: Noise NK, so that the owner knows the hop is the one it chose and the
 * hop learns nothing of the owner.
 *
 *   first     ephemeral[32] | sealed position u8 | tag[16]       what CREATE and EXTEND carry
 *   second    ephemeral[32] | tag[16]                            what CREATED and EXTENDED carry
 *   prologue  "culvert circuit v1" ‖ the hop's id[16]
 *
 * The position, counted from 1, tells the hop how long its layer of a cell is. It is sealed to the hop, so that the one
 * before cannot claim another.
 */

import type { SymmetricState } from "../noise.ts";
import { drawKeyPair, type NoiseKeyPair } from "../noise_ik.ts";
import { readFirstNk, readSecondNk, startNk, writeFirstNk, writeSecondNk } from "../noise_nk.ts";
import { type Bytes, KEY_BYTES } from "../primitives.ts";
import type { SealKeys, SealTools } from "../sealed_handshake.ts";
import { TAG_BYTES } from "../wireguard/constants.ts";

export const FIRST_NK_BYTES = KEY_BYTES + 1 + TAG_BYTES;
export const SECOND_NK_BYTES = KEY_BYTES + TAG_BYTES;
const PROLOGUE = new TextEncoder().encode("culvert circuit v1");

/** A hop as its owner knows it beforehand. */
export interface HopIdentity {
  /** The 16 bytes of its peer id. */
  readonly id: Bytes;
  /** The key that the directory has for it, which its identity signed. */
  readonly sealingKey: Bytes;
}

/** The owner's side of one handshake. Disposing wipes it. */
export class HopInitiator implements Disposable {
  readonly #tools: SealTools;
  readonly #ephemeral: NoiseKeyPair & Disposable;
  readonly #state: SymmetricState;
  /** The first message; undefined when the hop's key is none that anyone can have. */
  readonly first: Bytes | undefined;

  constructor(tools: SealTools, hop: HopIdentity, position: number) {
    const { crypto: suite, random } = tools;
    this.#tools = tools;
    this.#ephemeral = drawKeyPair(suite, random);
    this.#state = startNk(suite, prologueOf(hop.id), hop.sealingKey);
    const written = writeFirstNk(suite, this.#state, {
      ephemeral: this.#ephemeral,
      remoteStatic: hop.sealingKey,
      payload: Uint8Array.of(position),
    });
    this.first = written && joined(written.ephemeral, written.sealedPayload);
  }

  /** The keys; undefined when the second message is not the hop's. */
  finish(second: Bytes): SealKeys | undefined {
    const message = { ephemeral: second.slice(0, KEY_BYTES), sealedPayload: second.slice(KEY_BYTES) };
    const read = readSecondNk(this.#tools.crypto, this.#state, { ephemeral: this.#ephemeral, message });
    return read && { send: read.keys.first, receive: read.keys.second };
  }

  [Symbol.dispose](): void {
    this.#ephemeral[Symbol.dispose]();
    this.#state[Symbol.dispose]();
  }
}

/** What a hop answers with. */
export interface HopAcceptance {
  readonly second: Bytes;
  readonly keys: SealKeys;
  readonly position: number;
}

/** A hop's answer to a first message; undefined when it was not made for it. */
export function answerHop(
  { crypto: suite, random }: SealTools,
  { id, sealing }: { readonly id: Bytes; readonly sealing: NoiseKeyPair },
  first: Bytes,
): HopAcceptance | undefined {
  using state = startNk(suite, prologueOf(id), sealing.publicKey);
  const remoteEphemeral = first.slice(0, KEY_BYTES);
  const message = { ephemeral: remoteEphemeral, sealedPayload: first.slice(KEY_BYTES) };
  const position = readFirstNk(suite, state, { local: sealing, message })?.[0];
  if (position === undefined) return undefined;
  using ephemeral = drawKeyPair(suite, random);
  const written = writeSecondNk(suite, state, { ephemeral, remoteEphemeral, payload: new Uint8Array(0) });
  if (!written) return undefined;
  const { message: { ephemeral: key, sealedPayload }, keys } = written;
  return { second: joined(key, sealedPayload), keys: { send: keys.second, receive: keys.first }, position };
}

function prologueOf(hopId: Bytes): Bytes {
  return joined(PROLOGUE, hopId);
}

function joined(first: Bytes, second: Bytes): Bytes {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}
