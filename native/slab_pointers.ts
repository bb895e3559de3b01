/**
 * Where slabs lie, as FFI takes it fastest. A buffer as an argument costs 20 ns, and 35 in memory of WebAssembly, because
 * its address is looked up on every call; a pointer costs 2 (measured, Deno 2.9.6). So each is made once per place and kept.
 */

import type { Slab } from "../protocol/slab.ts";
import { addressOf } from "./libc.ts";

interface KnownSlab {
  readonly slab: Slab;
  readonly address: bigint;
  readonly pointers: Deno.PointerValue[];
}

export class SlabPointers {
  readonly #known = new WeakMap<Slab, KnownSlab>();
  #last: KnownSlab | undefined;

  /** Only as long as the slab is alive. The same object every time for offsets that are multiples of four. */
  at(slab: Slab, offset: number): Deno.PointerValue {
    const known = this.#last?.slab === slab ? this.#last : this.#lookUp(slab);
    if (offset & 3) return pointerTo(known, offset);
    return known.pointers[offset >> 2] ??= pointerTo(known, offset);
  }

  #lookUp(slab: Slab): KnownSlab {
    let known = this.#known.get(slab);
    if (!known) {
      known = { slab, address: addressOf(slab.bytes), pointers: new Array(slab.size / 4 + 1) };
      this.#known.set(slab, known);
    }
    this.#last = known;
    return known;
  }
}

function pointerTo({ address }: KnownSlab, offset: number): Deno.PointerValue {
  return Deno.UnsafePointer.create(address + BigInt(offset));
}
