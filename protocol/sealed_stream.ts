/**
 * The records of a sealed stream: what two peers say to each other over streams that others relay. Each direction has a
 * key of its own from the handshake (`sealed_handshake.ts`).
 *
 *   record   length u16 BE | sealed[length]      ChaCha20-Poly1305 with the tag behind; at most 32 KiB of text
 *
 * The nonce is the number of records before it under these keys, which both sides count and nobody sends: a record that
 * is lost, doubled, moved or changed does not open, and ends the stream. A record of no text ends its direction; a stream
 * that ends without one was cut. Every 65,536 records the key is replaced by one that does not lead back to it (Noise,
 * revision 34, §11.3), so what was carried stays sealed when a key is learnt later.
 *
 * Not here: padding. Who relays sees how much is carried and when.
 */

import type { Bytes } from "./primitives.ts";
import type { Slab } from "./slab.ts";
import { TAG_BYTES } from "./wireguard/constants.ts";
import type { Aead, WireGuardCrypto } from "./wireguard/crypto.ts";

const HEADER_BYTES = 2;
/** Throughput gains little beyond it (3.6 of 3.7 GB/s), and 256 KiB, which links write at once, are a whole number. */
export const MAX_TEXT_BYTES = 32 * 1024;
/** What a record is longer than its text. */
export const RECORD_OVERHEAD_BYTES = HEADER_BYTES + TAG_BYTES;
export const MAX_RECORD_BYTES = MAX_TEXT_BYTES + RECORD_OVERHEAD_BYTES;
const RECORDS_PER_KEY = 65_536;

/** What `RecordOpener.open` says instead of the length of a text. */
export const INCOMPLETE = -1;
export const FALSE = -2;

/** Seals what one side says. Disposing wipes the key. */
export class RecordSealer implements Disposable {
  readonly #keys: KeyChain;

  /** Takes over the key. */
  constructor(suite: WireGuardCrypto, key: Bytes) {
    this.#keys = new KeyChain(suite, key);
  }

  /** Puts a text into the slab as one record; gives where that ends. An empty text ends the direction. */
  seal(text: Uint8Array, slab: Slab, offset: number): number {
    const sealedBytes = text.length + TAG_BYTES;
    const { bytes } = slab;
    bytes[offset] = sealedBytes >>> 8;
    bytes[offset + 1] = sealedBytes;
    bytes.set(text, offset + HEADER_BYTES);
    const { aead, counter } = this.#keys;
    aead.seal(slab, offset + HEADER_BYTES, text.length, counter);
    this.#keys.advance();
    return offset + HEADER_BYTES + sealedBytes;
  }

  [Symbol.dispose](): void {
    this.#keys[Symbol.dispose]();
  }
}

/** Opens what the other side says. After FALSE it is of no more use. Disposing wipes the key. */
export class RecordOpener implements Disposable {
  readonly #keys: KeyChain;

  /** Takes over the key. */
  constructor(suite: WireGuardCrypto, key: Bytes) {
    this.#keys = new KeyChain(suite, key);
  }

  /** Opens the record at `offset` of a slab filled up to `end`, in place; gives the length of its text (see `textAt`). */
  open(slab: Slab, offset: number, end: number): number {
    const wholeBytes = recordBytes(slab, offset, end);
    if (wholeBytes < 0) return wholeBytes;
    if (offset + wholeBytes > end) return INCOMPLETE;
    const { aead, counter } = this.#keys;
    if (!aead.open(slab, offset + HEADER_BYTES, wholeBytes - HEADER_BYTES, counter)) return FALSE;
    this.#keys.advance();
    return wholeBytes - RECORD_OVERHEAD_BYTES;
  }

  [Symbol.dispose](): void {
    this.#keys[Symbol.dispose]();
  }
}

/** Where the text of an opened record begins. */
export function textAt(offset: number): number {
  return offset + HEADER_BYTES;
}

/** How long the record at `offset` is, all in all; INCOMPLETE before its header is there, FALSE for no record's length. */
export function recordBytes(slab: Slab, offset: number, end: number): number {
  if (end - offset < HEADER_BYTES) return INCOMPLETE;
  const whole = HEADER_BYTES + ((slab.bytes[offset]! << 8) | slab.bytes[offset + 1]!);
  return whole < RECORD_OVERHEAD_BYTES || whole > MAX_RECORD_BYTES ? FALSE : whole;
}

/** The keys of one direction, one after another, and how many records there have been. */
class KeyChain implements Disposable {
  readonly #suite: WireGuardCrypto;
  #key: Bytes;
  aead: Aead;
  counter = 0;

  constructor(suite: WireGuardCrypto, key: Bytes) {
    this.#suite = suite;
    this.#key = key;
    this.aead = suite.aead(key);
  }

  advance(): void {
    if (++this.counter % RECORDS_PER_KEY === 0) this.#replace();
  }

  #replace(): void {
    const nonce = new Uint8Array(12).fill(0xff, 4);
    const associated = new Uint8Array(0);
    const key = this.#key;
    this.#key = this.#suite.seal({ key, nonce, associated }, new Uint8Array(key.length)).slice(0, key.length);
    key.fill(0);
    this.aead[Symbol.dispose]();
    this.aead = this.#suite.aead(this.#key);
  }

  [Symbol.dispose](): void {
    this.#key.fill(0);
    this.aead[Symbol.dispose]();
  }
}
