/**
 * A list of pieces of slabs that one writev sends as one packet, in their order: `clear`, `add` each piece, then hand it
 * to `Tun.write`. Nothing is copied, so the slabs must stay as they are until then. Made once and used again for every
 * packet; a piece beyond `capacity` is refused.
 */

import { Slab } from "../protocol/slab.ts";
import { IOVEC, putU64, SlabAddresses } from "./layout.ts";

/** The most the kernel takes in one call. */
export const MAX_PIECES = 1024;

export class Iovec {
  readonly capacity: number;
  readonly #entries: Slab;
  readonly #addresses = new SlabAddresses();
  #count = 0;
  #bytes = 0;

  constructor(capacity: number = MAX_PIECES) {
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > MAX_PIECES) {
      throw new RangeError(`Cannot make an iovec: its capacity must be 1 to ${MAX_PIECES}, got ${capacity}`);
    }
    this.capacity = capacity;
    this.#entries = new Slab(capacity * IOVEC.size);
  }

  /** How many pieces there are. */
  get count(): number {
    return this.#count;
  }

  /** How many bytes they have together. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What the kernel is given. */
  get entries(): Uint8Array<ArrayBuffer> {
    return this.#entries.bytes;
  }

  clear(): void {
    this.#count = 0;
    this.#bytes = 0;
  }

  /** Adds slab[offset, offset+length); false when the list is full or the piece is not inside the slab. */
  add(slab: Slab, offset: number, length: number): boolean {
    const isInside = offset >= 0 && length >= 0 && offset + length <= slab.size;
    if (!isInside || this.#count === this.capacity) return false;
    const at = this.#count * IOVEC.size;
    putU64(this.#entries.view, at + IOVEC.base, this.#addresses.of(slab) + offset);
    this.#entries.view.setUint32(at + IOVEC.length, length, true);
    this.#count++;
    this.#bytes += length;
    return true;
  }

  /** Takes `bytes` off the front of the first piece; false when it has not that many. */
  dropFront(bytes: number): boolean {
    const { view } = this.#entries;
    const length = this.#count === 0 ? 0 : view.getUint32(IOVEC.length, true);
    if (length < bytes) return false;
    const base = view.getUint32(IOVEC.base, true) + view.getUint32(IOVEC.base + 4, true) * 0x1_0000_0000;
    putU64(view, IOVEC.base, base + bytes);
    view.setUint32(IOVEC.length, length - bytes, true);
    this.#bytes -= bytes;
    return true;
  }
}
