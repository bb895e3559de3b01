/**
 * Large buffers that many streams take turns with. A stream that waits needs almost no memory and a stream in full flow
 * needs a large buffer, but few are in full flow at once: so a large one is borrowed for the length of a burst.
 *
 * The more are out, the smaller those lent next: a few streams get the largest, thousands share what memory there is in
 * equal parts, and a stream that holds more than the others now get is asked to swap (`tooLarge`). When `maxBuffers` are
 * out, `take` gives undefined and the borrower carries on with the small buffer it waits with: slower, never stuck.
 * Contents are not wiped between borrowers.
 */

export interface BufferPoolOptions {
  /** The size while few are out. Default 1 MiB: a copy ran 7 % faster with it than with 512 KiB, 25 % than with 256. */
  readonly bufferBytes?: number;
  /** How many may be lent at once. Default 4,096, which is at most 352 MiB with the default size. */
  readonly maxBuffers?: number;
  /** Returned ones of each size that are kept; those beyond are left to the garbage collector. Default 8. */
  readonly maxKept?: number;
}

/** Small ones that are kept, of each size. */
const MAX_KEPT_SMALL = 64;

/** Up to this many out, the largest are lent; up to four times as many, a quarter of that; then a sixteenth. */
const FEW = 64;

export class BufferPool {
  readonly bufferBytes: number;
  readonly #maxBuffers: number;
  readonly #maxKept: number;
  /** By size: those of `bufferBytes`, a quarter, a sixteenth. */
  readonly #kept: Uint8Array<ArrayBuffer>[][] = [[], [], []];
  #lent = 0;
  readonly #small = new Map<number, Uint8Array<ArrayBuffer>[]>();

  constructor(options: BufferPoolOptions = {}) {
    this.bufferBytes = options.bufferBytes ?? 1024 * 1024;
    this.#maxBuffers = options.maxBuffers ?? 4096;
    this.#maxKept = options.maxKept ?? 8;
  }

  /** Buffers out at present. */
  get lent(): number {
    return this.#lent;
  }

  /** True while a borrower may hold on to its buffer between bursts; false when others may soon be without. */
  get plenty(): boolean {
    return this.#lent * 2 <= Math.min(FEW, this.#maxBuffers);
  }

  take(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#lent >= this.#maxBuffers) return undefined;
    this.#lent++;
    const size = this.#sizeNow;
    return this.#kept[size]!.pop() ?? new Uint8Array(this.bufferBytes >> (2 * size));
  }

  /** Gives a taken buffer back; the giver must not touch it again. */
  give(buffer: Uint8Array<ArrayBuffer>): void {
    this.#lent--;
    const kept = this.#kept.find((_, size) => buffer.length === this.bufferBytes >> (2 * size));
    if (kept && kept.length < this.#maxKept) kept.push(buffer);
  }

  /** Whether a taken buffer is larger than what others get now; it should be given back and another taken. */
  tooLarge(buffer: Uint8Array): boolean {
    return buffer.length > this.bufferBytes >> (2 * this.#sizeNow);
  }

  /**
   * One of a few KiB, which does not count and is always to be had. Short streams take them from here because making one
   * costs some microseconds of theirs; who writes now and then, because it need not hold one.
   */
  takeSmall(bytes: number): Uint8Array<ArrayBuffer> {
    return this.#small.get(bytes)?.pop() ?? new Uint8Array(bytes);
  }

  /** The same holds as for `give`. */
  giveSmall(buffer: Uint8Array<ArrayBuffer>): void {
    const kept = this.#small.get(buffer.length);
    if (!kept) this.#small.set(buffer.length, [buffer]);
    else if (kept.length < MAX_KEPT_SMALL) kept.push(buffer);
  }

  /** A taken buffer will not come back: something may still write to it. */
  forget(): void {
    this.#lent--;
  }

  get #sizeNow(): 0 | 1 | 2 {
    return this.#lent <= FEW ? 0 : this.#lent <= 4 * FEW ? 1 : 2;
  }
}
