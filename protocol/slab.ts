/**
 * One block of memory seen as bytes, as 32-bit words and through a DataView, and from any offset on: what a packet path
 * works in. A subarray made per packet is garbage per packet, so `from` makes each view once and keeps it. Code that only
 * takes an address (FFI) never looks at a view's length, which is why one view per start is enough.
 */

export class Slab {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  /** In the machine's own byte order; word n holds bytes 4n to 4n+3. */
  readonly words: Uint32Array<ArrayBuffer>;
  /** Made with the first of them: whoever asks for none does without the list. */
  #views: (Uint8Array<ArrayBuffer> | undefined)[] | undefined;

  /** Memory of that size, rounded up to whole words, or memory that is there (whole words of it). */
  constructor(memory: number | ArrayBuffer) {
    const buffer = typeof memory === "number" ? new ArrayBuffer((memory + 3) & ~3) : memory;
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.words = new Uint32Array(buffer);
  }

  get size(): number {
    return this.bytes.length;
  }

  /** Everything from `offset` on. The same object every time for offsets that are multiples of four. */
  from(offset: number): Uint8Array<ArrayBuffer> {
    if (offset & 3) return this.bytes.subarray(offset);
    return (this.#views ??= new Array(this.size / 4 + 1))[offset >> 2] ??= this.bytes.subarray(offset);
  }
}
