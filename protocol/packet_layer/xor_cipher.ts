/**
 * kcp-go's `xor`: the same pad over every datagram. Hides nothing from who sees two of them.
 */

import type { Bytes } from "../primitives.ts";
import { Slab } from "../slab.ts";
import type { PacketCipher } from "./checked_seal.ts";

export class XorCipher implements PacketCipher {
  readonly mostBytes: number;
  readonly #pad: Slab;

  constructor(pad: Bytes) {
    this.mostBytes = pad.length;
    this.#pad = new Slab(pad.length);
    this.#pad.bytes.set(pad);
  }

  hide(slab: Slab, start: number, end: number): void {
    xorInto(slab, start, end, this.#pad);
  }

  reveal(slab: Slab, start: number, end: number): void {
    xorInto(slab, start, end, this.#pad);
  }

  [Symbol.dispose](): void {
    this.#pad.bytes.fill(0);
  }
}

/** Lays `pad`, from its beginning, over [start, end): by words where the start allows it. */
export function xorInto(slab: Slab, start: number, end: number, pad: Slab): void {
  let at = start;
  if ((start & 3) === 0) {
    const { words } = slab;
    const padWords = pad.words;
    const first = start >> 2;
    const count = end - start >> 2;
    for (let word = 0; word < count; word++) words[first + word]! ^= padWords[word]!;
    at += count << 2;
  }
  const { bytes } = slab;
  const padBytes = pad.bytes;
  for (; at < end; at++) bytes[at]! ^= padBytes[at - start]!;
}
