/**
 * Everything that somebody has seen, to be searched: for words in it, and for what it shares with what another has seen.
 * It keeps the first 32 MiB.
 */

const MAX_BYTES = 32 * 1024 * 1024;
const RUN_BYTES = 8;
const MANY_ZEROS = 3;
const LAST_SEVEN = 0xff_ffff_ffff_ffffn;

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

  /**
   * Runs of eight bytes that both have seen and `known` has not, in hexadecimal. Runs with three zeros or more are left
   * out: those are the counters and lengths of frames, and what is drawn or sealed has one in 300,000 such.
   */
  shared(other: ByteLog, known?: ByteLog): string[] {
    const common = commonTo(this.#runs(), other.#runs());
    const knownRuns = known ? known.#runs() : new BigUint64Array();
    const exactlyKnown = new Set(commonTo(common, knownRuns));
    return [...common].filter((run) => !exactlyKnown.has(run) && !knownRuns.some((each) => isAllButKnown(run, each)))
      .map((run) => run.toString(16).padStart(2 * RUN_BYTES, "0"));
  }

  /** In their order. */
  #runs(): BigUint64Array {
    const runs = new BigUint64Array(this.#byteCount);
    let count = 0;
    for (const piece of this.#pieces) {
      const view = new DataView(piece.buffer);
      let zeros = 0;
      for (let at = 0; at < RUN_BYTES - 1; at++) zeros += isZero(piece, at);
      for (let at = 0; at + RUN_BYTES <= piece.length; at++) {
        zeros += isZero(piece, at + RUN_BYTES - 1) - isZero(piece, at - 1);
        if (zeros < MANY_ZEROS) runs[count++] = view.getBigUint64(at);
      }
    }
    return runs.subarray(0, count).sort();
  }
}

/** Whether they differ in the first or the last byte alone: something known, and a byte beside it that fits by chance. */
function isAllButKnown(run: bigint, known: bigint): boolean {
  return run >> 8n === known >> 8n || ((run ^ known) & LAST_SEVEN) === 0n;
}

/** What two sorted lists share, each once and in order. */
function commonTo(one: BigUint64Array, other: BigUint64Array): BigUint64Array {
  const common: bigint[] = [];
  for (let [at, there] = [0, 0]; at < one.length && there < other.length;) {
    const [run, theirs] = [one[at]!, other[there]!];
    if (run === theirs && common.at(-1) !== run) common.push(run);
    if (run <= theirs) at++;
    else there++;
  }
  return BigUint64Array.from(common);
}

/** 1 or 0; 0 outside. */
function isZero(bytes: Uint8Array, at: number): number {
  return bytes[at] === 0 ? 1 : 0;
}

function indexOf(haystack: Uint8Array, needle: Uint8Array): number {
  for (let at = haystack.indexOf(needle[0]!); at >= 0; at = haystack.indexOf(needle[0]!, at + 1)) {
    let length = 1;
    while (length < needle.length && haystack[at + length] === needle[length]) length++;
    if (length === needle.length) return at;
  }
  return -1;
}
