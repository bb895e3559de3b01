/**
 * BLAKE2s, RFC 7693, with and without a key: the hash of WireGuard's handshakes and of the macs that a flood of them is
 * sifted by. Written here because those macs must cost neither garbage nor time; `@noble/hashes`, which makes four
 * objects per hash and is five times slower on inputs of one or two blocks, is its twin in the tests.
 *
 *   const hasher = new Blake2s(); hasher.start(16, key).update(packet, 0, 116).finish(into);
 *
 * One hasher does one hash at a time and can be used again at once. Not here: salt, personalisation, tree hashing.
 */

import { BLAKE2S_IV, compress } from "./blake2s_compress.ts";
import type { Bytes } from "./primitives.ts";

export const BLAKE2S_BLOCK_BYTES = 64;
export const BLAKE2S_BYTES = 32;

export class Blake2s implements Disposable {
  readonly #state = new Int32Array(8);
  readonly #words = new Int32Array(16);
  readonly #block = new Uint8Array(BLAKE2S_BLOCK_BYTES);
  readonly #blockView = new DataView(this.#block.buffer);
  readonly #digest = new DataView(new ArrayBuffer(BLAKE2S_BYTES));
  readonly #digestBytes = new Uint8Array(this.#digest.buffer);
  #pending = 0;
  #total = 0;
  #outputBytes = BLAKE2S_BYTES;

  /** Begins a hash of `outputBytes` (1 to 32), keyed when there is a key (1 to 32 bytes). */
  start(outputBytes: number, key?: Uint8Array): this {
    const state = this.#state;
    state.set(BLAKE2S_IV);
    state[0] = state[0]! ^ 0x01010000 ^ (key ? key.length << 8 : 0) ^ outputBytes;
    this.#outputBytes = outputBytes;
    this.#total = 0;
    this.#pending = 0;
    if (key) {
      this.#block.fill(0);
      this.#block.set(key);
      this.#pending = BLAKE2S_BLOCK_BYTES;
    }
    return this;
  }

  /** Takes in `bytes[from, to)`. */
  update(bytes: Uint8Array, from = 0, to: number = bytes.length): this {
    const block = this.#block;
    let pending = this.#pending;
    for (let at = from; at < to; at++) {
      // A full block waits until more comes, because the last one is marked.
      if (pending === BLAKE2S_BLOCK_BYTES) {
        this.#compress(BLAKE2S_BLOCK_BYTES, false);
        pending = 0;
      }
      block[pending++] = bytes[at]!;
    }
    this.#pending = pending;
    return this;
  }

  /** Ends the hash and writes it. */
  finish(into: Uint8Array, offset = 0): void {
    for (let at = this.#pending; at < BLAKE2S_BLOCK_BYTES; at++) this.#block[at] = 0;
    this.#compress(this.#pending, true);
    for (let at = 0; at < 8; at++) this.#digest.setInt32(4 * at, this.#state[at]!, true);
    for (let at = 0; at < this.#outputBytes; at++) into[offset + at] = this.#digestBytes[at]!;
  }

  /** The hash of the parts, one after another. */
  hash(...parts: readonly Uint8Array[]): Bytes {
    this.start(BLAKE2S_BYTES);
    for (const part of parts) this.update(part);
    const digest = new Uint8Array(BLAKE2S_BYTES);
    this.finish(digest);
    return digest;
  }

  /** Forgets what it has seen. */
  [Symbol.dispose](): void {
    for (const memory of [this.#state, this.#words, this.#block, this.#digestBytes]) memory.fill(0);
  }

  #compress(added: number, isLast: boolean): void {
    this.#total += added;
    for (let at = 0; at < 16; at++) this.#words[at] = this.#blockView.getInt32(4 * at, true);
    compress(this.#state, this.#words, this.#total, isLast);
  }
}
