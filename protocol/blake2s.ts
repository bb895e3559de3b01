/**
 * BLAKE2s, RFC 7693, with and without a key: the hash of WireGuard's handshakes and of the macs that a flood of them is
 * sifted by. Written here because those macs must cost neither garbage nor time; `@noble/hashes`, which makes four
 * objects per hash and is five times slower on inputs of one or two blocks, is its twin in the tests.
 *
 *   const hasher = new Blake2s(); hasher.start(16, key).update(packet, 0, 116).finish(into);
 *
 * One hasher does one hash at a time and can be used again at once. Not here: salt, personalisation, tree hashing.
 */

import type { Bytes } from "./primitives.ts";

export const BLAKE2S_BLOCK_BYTES = 64;
export const BLAKE2S_BYTES = 32;

/** RFC 7693 §2.6: the first words of SHA-256's. */
const IV = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19] as const;

/** RFC 7693 §2.7: in which order a round takes the words of the message. */
const SIGMA = Uint8Array.of(
  ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  ...[14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  ...[11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  ...[7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  ...[9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  ...[2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  ...[12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  ...[13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  ...[6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  ...[10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
);

export class Blake2s implements Disposable {
  readonly #state = new Int32Array(8);
  readonly #work = new Int32Array(16);
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
    for (let at = 0; at < 8; at++) state[at] = IV[at]!;
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
    for (const memory of [this.#state, this.#work, this.#words, this.#block, this.#digestBytes]) memory.fill(0);
  }

  /** RFC 7693 §3.2: takes the block into the state. */
  #compress(added: number, isLast: boolean): void {
    this.#total += added;
    const words = this.#words;
    for (let at = 0; at < 16; at++) words[at] = this.#blockView.getInt32(4 * at, true);
    const v = this.#work;
    const state = this.#state;
    for (let at = 0; at < 8; at++) {
      v[at] = state[at]!;
      v[at + 8] = IV[at]!;
    }
    v[12] = v[12]! ^ this.#total;
    v[13] = v[13]! ^ Math.floor(this.#total / 2 ** 32);
    if (isLast) v[14] = ~v[14]!;
    for (let at = 0; at < SIGMA.length; at += 16) {
      mix(v, 0, 4, 8, 12, words[SIGMA[at]!]!, words[SIGMA[at + 1]!]!);
      mix(v, 1, 5, 9, 13, words[SIGMA[at + 2]!]!, words[SIGMA[at + 3]!]!);
      mix(v, 2, 6, 10, 14, words[SIGMA[at + 4]!]!, words[SIGMA[at + 5]!]!);
      mix(v, 3, 7, 11, 15, words[SIGMA[at + 6]!]!, words[SIGMA[at + 7]!]!);
      mix(v, 0, 5, 10, 15, words[SIGMA[at + 8]!]!, words[SIGMA[at + 9]!]!);
      mix(v, 1, 6, 11, 12, words[SIGMA[at + 10]!]!, words[SIGMA[at + 11]!]!);
      mix(v, 2, 7, 8, 13, words[SIGMA[at + 12]!]!, words[SIGMA[at + 13]!]!);
      mix(v, 3, 4, 9, 14, words[SIGMA[at + 14]!]!, words[SIGMA[at + 15]!]!);
    }
    for (let at = 0; at < 8; at++) state[at] = state[at]! ^ v[at]! ^ v[at + 8]!;
  }
}

/** RFC 7693 §3.1: the mixing function G. */
function mix(v: Int32Array, a: number, b: number, c: number, d: number, x: number, y: number): void {
  let [va, vb, vc, vd] = [v[a]!, v[b]!, v[c]!, v[d]!];
  va = (va + vb + x) | 0;
  vd ^= va;
  vd = (vd >>> 16) | (vd << 16);
  vc = (vc + vd) | 0;
  vb ^= vc;
  vb = (vb >>> 12) | (vb << 20);
  va = (va + vb + y) | 0;
  vd ^= va;
  vd = (vd >>> 8) | (vd << 24);
  vc = (vc + vd) | 0;
  vb ^= vc;
  vb = (vb >>> 7) | (vb << 25);
  v[a] = va;
  v[b] = vb;
  v[c] = vc;
  v[d] = vd;
}
