/**
 * Hides the eight bytes at the head of every sealed packet, so that not one byte of it is the same twice or counts up:
 * they are mixed with a block of ChaCha20 that the packet's own tag chooses, as QUIC does it (RFC 9001 §5.4.4; RFC 8439
 * §2.3 for the block).
 *
 *   block = ChaCha20(key, counter = tag[0..4), nonce = tag[4..16))        head ^= block[0..8)
 *
 * The key is that of all who know the server's public key: it hides, and proves nothing. Reading changes no byte and makes no
 * garbage. `@noble/ciphers` is its twin in the tests, and makes objects.
 */

import type { Bytes } from "../primitives.ts";
import type { Slab } from "../slab.ts";

/** "expand 32-byte k", RFC 8439 §2.3. */
const [C0, C1, C2, C3] = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574] as const;
const DOUBLE_ROUNDS = 10;

export class PacketMask {
  readonly #key: Int32Array;
  /** The two words of the block that was made last, each a signed number. */
  first = 0;
  second = 0;

  /** A key of 32 bytes. */
  constructor(key: Bytes) {
    const view = new DataView(key.buffer, key.byteOffset, key.length);
    this.#key = Int32Array.from({ length: 8 }, (_, word) => view.getInt32(4 * word, true));
  }

  /** Makes the block that the 16 bytes at `tagAt` choose. */
  choose({ view }: Slab, tagAt: number): void {
    const key = this.#key;
    let x0: number = C0, x1: number = C1, x2: number = C2, x3: number = C3;
    let x4 = key[0]!, x5 = key[1]!, x6 = key[2]!, x7 = key[3]!;
    let x8 = key[4]!, x9 = key[5]!, xa = key[6]!, xb = key[7]!;
    let xc = view.getInt32(tagAt, true), xd = view.getInt32(tagAt + 4, true);
    let xe = view.getInt32(tagAt + 8, true), xf = view.getInt32(tagAt + 12, true);
    let t: number;
    for (let round = 0; round < DOUBLE_ROUNDS; round++) {
      // Columns.
      x0 = (x0 + x4) | 0, t = xc ^ x0, xc = (t << 16) | (t >>> 16);
      x8 = (x8 + xc) | 0, t = x4 ^ x8, x4 = (t << 12) | (t >>> 20);
      x0 = (x0 + x4) | 0, t = xc ^ x0, xc = (t << 8) | (t >>> 24);
      x8 = (x8 + xc) | 0, t = x4 ^ x8, x4 = (t << 7) | (t >>> 25);
      x1 = (x1 + x5) | 0, t = xd ^ x1, xd = (t << 16) | (t >>> 16);
      x9 = (x9 + xd) | 0, t = x5 ^ x9, x5 = (t << 12) | (t >>> 20);
      x1 = (x1 + x5) | 0, t = xd ^ x1, xd = (t << 8) | (t >>> 24);
      x9 = (x9 + xd) | 0, t = x5 ^ x9, x5 = (t << 7) | (t >>> 25);
      x2 = (x2 + x6) | 0, t = xe ^ x2, xe = (t << 16) | (t >>> 16);
      xa = (xa + xe) | 0, t = x6 ^ xa, x6 = (t << 12) | (t >>> 20);
      x2 = (x2 + x6) | 0, t = xe ^ x2, xe = (t << 8) | (t >>> 24);
      xa = (xa + xe) | 0, t = x6 ^ xa, x6 = (t << 7) | (t >>> 25);
      x3 = (x3 + x7) | 0, t = xf ^ x3, xf = (t << 16) | (t >>> 16);
      xb = (xb + xf) | 0, t = x7 ^ xb, x7 = (t << 12) | (t >>> 20);
      x3 = (x3 + x7) | 0, t = xf ^ x3, xf = (t << 8) | (t >>> 24);
      xb = (xb + xf) | 0, t = x7 ^ xb, x7 = (t << 7) | (t >>> 25);
      // Diagonals.
      x0 = (x0 + x5) | 0, t = xf ^ x0, xf = (t << 16) | (t >>> 16);
      xa = (xa + xf) | 0, t = x5 ^ xa, x5 = (t << 12) | (t >>> 20);
      x0 = (x0 + x5) | 0, t = xf ^ x0, xf = (t << 8) | (t >>> 24);
      xa = (xa + xf) | 0, t = x5 ^ xa, x5 = (t << 7) | (t >>> 25);
      x1 = (x1 + x6) | 0, t = xc ^ x1, xc = (t << 16) | (t >>> 16);
      xb = (xb + xc) | 0, t = x6 ^ xb, x6 = (t << 12) | (t >>> 20);
      x1 = (x1 + x6) | 0, t = xc ^ x1, xc = (t << 8) | (t >>> 24);
      xb = (xb + xc) | 0, t = x6 ^ xb, x6 = (t << 7) | (t >>> 25);
      x2 = (x2 + x7) | 0, t = xd ^ x2, xd = (t << 16) | (t >>> 16);
      x8 = (x8 + xd) | 0, t = x7 ^ x8, x7 = (t << 12) | (t >>> 20);
      x2 = (x2 + x7) | 0, t = xd ^ x2, xd = (t << 8) | (t >>> 24);
      x8 = (x8 + xd) | 0, t = x7 ^ x8, x7 = (t << 7) | (t >>> 25);
      x3 = (x3 + x4) | 0, t = xe ^ x3, xe = (t << 16) | (t >>> 16);
      x9 = (x9 + xe) | 0, t = x4 ^ x9, x4 = (t << 12) | (t >>> 20);
      x3 = (x3 + x4) | 0, t = xe ^ x3, xe = (t << 8) | (t >>> 24);
      x9 = (x9 + xe) | 0, t = x4 ^ x9, x4 = (t << 7) | (t >>> 25);
    }
    this.first = (x0 + C0) | 0;
    this.second = (x1 + C1) | 0;
  }
}
