/**
 * What relays and central say to each other, sealed from hop to hop: nobody on the way between them sees an alias. What
 * travels inside is sealed between client and central anyway.
 *
 *   first message    Noise IK (`sealed_handshake.ts`) with both sealing keys; prologue: `hopPrologue` of the acceptor
 *   second           the answer
 *   from then on     ciphertext | tag[16]        nonce: the messages before it in this direction
 *
 * One that is lost, doubled, moved or changed does not open, and ends the hop. An empty message says only that its sender
 * is there; the initiator sends one at once, since its first message alone may be an old one, sent again. Until that has
 * come the acceptor does nothing for it, and does not let it take another hop's place. Both ends send one when they have
 * said nothing for 15 s, and may take a hop that has been silent for a minute for dead.
 */

import type { Bytes } from "../primitives.ts";
import type { SealKeys } from "../sealed_handshake.ts";
import { HOP_DOMAIN, signedBytes } from "../signing.ts";
import { Slab } from "../slab.ts";
import { TAG_BYTES } from "../wireguard/constants.ts";
import type { Aead, WireGuardCrypto } from "../wireguard/crypto.ts";
import { MAX_MESSAGE_BYTES } from "./messages.ts";

export const HOP_OVERHEAD_BYTES = TAG_BYTES;
/** The most that one message of a hop has. */
export const MAX_HOP_MESSAGE_BYTES = MAX_MESSAGE_BYTES + HOP_OVERHEAD_BYTES;

/** What both ends of a hop mean: to speak to this relay or central. */
export function hopPrologue(acceptorId: string): Bytes {
  return signedBytes(HOP_DOMAIN, [acceptorId]);
}

/** Memory to seal and open in. One will do for all hops of a thread: nothing stays in it between two calls. */
export function hopSlab(): Slab {
  return new Slab(MAX_HOP_MESSAGE_BYTES);
}

/** Both directions of one hop, for one side. Disposing wipes the keys. */
export class HopSeal implements Disposable {
  readonly #slab: Slab;
  readonly #sending: Aead;
  readonly #receiving: Aead;
  #sent = 0;
  #received = 0;

  /** The keys may be wiped afterwards. */
  constructor(suite: WireGuardCrypto, keys: SealKeys, slab: Slab) {
    this.#slab = slab;
    this.#sending = suite.aead(keys.send);
    this.#receiving = suite.aead(keys.receive);
  }

  /** How many messages have come, the empty ones too. */
  get receivedCount(): number {
    return this.#received;
  }

  /** The parts as one message, sealed: a view that is valid until the slab is used again. Sent in this order. */
  seal(...parts: readonly Uint8Array[]): Bytes {
    const { bytes } = this.#slab;
    let length = 0;
    for (const part of parts) {
      if (length + part.length > MAX_MESSAGE_BYTES) {
        throw new RangeError(`Cannot seal: a hop's message must be at most ${MAX_MESSAGE_BYTES} bytes`);
      }
      bytes.set(part, length);
      length += part.length;
    }
    this.#sending.seal(this.#slab, 0, length, this.#sent++);
    return bytes.subarray(0, length + TAG_BYTES);
  }

  /** What a message says: a view that is valid until the slab is used again; undefined when it is false: end the hop. */
  open(message: Uint8Array): Bytes | undefined {
    if (message.length < TAG_BYTES || message.length > MAX_HOP_MESSAGE_BYTES) return undefined;
    const { bytes } = this.#slab;
    bytes.set(message);
    if (!this.#receiving.open(this.#slab, 0, message.length, this.#received)) return undefined;
    this.#received++;
    return bytes.subarray(0, message.length - TAG_BYTES);
  }

  [Symbol.dispose](): void {
    this.#sending[Symbol.dispose]();
    this.#receiving[Symbol.dispose]();
  }
}
