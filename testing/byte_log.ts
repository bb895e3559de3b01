/**
 * Everything that somebody has seen, to be searched: for words in it, and for what it shares with what another has seen.
 * It keeps the first 32 MiB.
 */

const MAX_BYTES = 32 * 1024 * 1024;
const RUN_BYTES = 8;
/** Eight times the same byte is a multiple of this; nothing else of that size that matters is. */
const REPEATED = 0x0101010101010101n;

export class ByteLog {
  readonly #pieces: Uint8Array[] = [];
  #byteCount = 0;

  get byteCount(): number {
    return this.#byteCount;
  }

  add(bytes: Uint8Array): void {
    const kept = bytes.slice(0, MAX_BYTES - this.#byteCount);
    if (kept.length === 0) return;
    this.#pieces.push(kept);
    this.#byteCount += kept.length;
  }

  addAll(other: ByteLog): void {
    for (const piece of other.#pieces) this.add(piece);
  }

  /** Whether the words or bytes lie in it, as a whole within what was added at once. */
  has(what: string | Uint8Array): boolean {
    const needle = typeof what === "string" ? new TextEncoder().encode(what) : what;
    return this.#pieces.some((piece) => indexOf(piece, needle) >= 0);
  }

  /** Runs of eight bytes that both have seen and `known` has not, in hexadecimal; none of one repeated byte. */
  shared(other: ByteLog, known?: ByteLog): string[] {
    const ours = this.#runs();
    const knownRuns = known ? known.#runs() : new Set<bigint>();
    return [...other.#runs()].filter((run) => ours.has(run) && !knownRuns.has(run))
      .map((run) => run.toString(16).padStart(2 * RUN_BYTES, "0"));
  }

  #runs(): Set<bigint> {
    const runs = new Set<bigint>();
    for (const piece of this.#pieces) {
      const view = new DataView(piece.buffer);
      for (let at = 0; at + RUN_BYTES <= piece.length; at++) {
        const run = view.getBigUint64(at);
        if (run % REPEATED !== 0n) runs.add(run);
      }
    }
    return runs;
  }
}

function indexOf(haystack: Uint8Array, needle: Uint8Array): number {
  for (let at = haystack.indexOf(needle[0]!); at >= 0; at = haystack.indexOf(needle[0]!, at + 1)) {
    let length = 1;
    while (length < needle.length && haystack[at + length] === needle[length]) length++;
    if (length === needle.length) return at;
  }
  return -1;
}
