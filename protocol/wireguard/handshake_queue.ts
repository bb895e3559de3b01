/**
 * Handshake messages that wait to be looked at: a ring of memory taken once, so that a flood makes no garbage. When it
 * is full, what comes is dropped unread.
 */

import { Slab } from "../slab.ts";
import { HANDSHAKE_QUEUE, INITIATION_BYTES } from "./constants.ts";
import type { Endpoint } from "./settings.ts";

/** The longest handshake message, in whole words. */
const STRIDE = (INITIATION_BYTES + 3) & ~3;

/** Who knows where a message came from. It is asked only for one that is kept: an address nobody knows yet costs memory. */
export interface Sender {
  source(): Endpoint;
}

export class HandshakeQueue {
  readonly slab: Slab = new Slab(HANDSHAKE_QUEUE * STRIDE);
  readonly #lengths = new Uint8Array(HANDSHAKE_QUEUE);
  readonly #sources: (Endpoint | undefined)[] = new Array(HANDSHAKE_QUEUE).fill(undefined);
  #first = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Copies a message of at most INITIATION_BYTES; false if there is no room. */
  push(from: Slab, offset: number, length: number, sender: Sender): boolean {
    if (this.#size === HANDSHAKE_QUEUE) return false;
    const place = (this.#first + this.#size++) % HANDSHAKE_QUEUE;
    const at = place * STRIDE;
    for (let byte = 0; byte < length; byte++) this.slab.bytes[at + byte] = from.bytes[offset + byte]!;
    this.#lengths[place] = length;
    this.#sources[place] = sender.source();
    return true;
  }

  /** Where in `slab` the oldest message begins. */
  get offset(): number {
    return this.#first * STRIDE;
  }

  /** The length of the oldest message. */
  get length(): number {
    return this.#lengths[this.#first]!;
  }

  /** Where the oldest message came from; only while there is one. */
  get source(): Endpoint {
    return this.#sources[this.#first]!;
  }

  /** Frees the place of the oldest message. */
  pop(): void {
    this.#sources[this.#first] = undefined;
    this.#first = (this.#first + 1) % HANDSHAKE_QUEUE;
    this.#size--;
  }
}
