/**
 * Marks where the bytes of one direction truly end. A QUIC stream whose sender is dropped ends like a finished one (Deno's
 * QUIC has no way to reset one), so the end is said within:
 *
 *   length u24 BE (1 to 262,144) │ bytes      as often as there are any
 *   0 u24                                     the end; what ends without it was cut
 */

export const CHUNK_HEAD_BYTES = 3;
export const MAX_CHUNK_BYTES = 0x40000;
/** The end of a direction. */
export const END_CHUNK: Uint8Array = new Uint8Array(CHUNK_HEAD_BYTES);

/** Writes the head of a chunk. */
export function putChunkHead(into: Uint8Array, length: number): void {
  into[0] = length >>> 16;
  into[1] = length >>> 8;
  into[2] = length;
}

/** Takes chunks apart, wherever they are cut. */
export class ChunkReader {
  /** Of the chunk that is being read. */
  #left = 0;
  #head = 0;
  #headBytes = 0;
  /** The end has come. */
  hasEnded = false;
  /** What came was none of ours: it makes no sense to go on. */
  isBad = false;

  /** Leaves only what was carried, at the start of `bytes`; gives how much that is. */
  take(bytes: Uint8Array, length: number): number {
    let kept = 0;
    for (let at = 0; at < length && !this.isBad;) {
      if (this.#left === 0) {
        this.#takeHead(bytes[at++]!);
        continue;
      }
      const count = Math.min(this.#left, length - at);
      if (kept !== at) bytes.copyWithin(kept, at, at + count);
      kept += count;
      at += count;
      this.#left -= count;
    }
    return kept;
  }

  #takeHead(byte: number): void {
    if (this.hasEnded) return void (this.isBad = true);
    this.#head = this.#head << 8 | byte;
    if (++this.#headBytes < CHUNK_HEAD_BYTES) return;
    this.#left = this.#head;
    this.hasEnded = this.#head === 0;
    this.isBad = this.#head > MAX_CHUNK_BYTES;
    this.#head = this.#headBytes = 0;
  }
}
