/**
 * The acknowledgements that are owed: which segments came, and the time each of them carried. Segments that `una` tells of
 * anyway need none, but for the newest, whose time measures the round trip.
 */

const FIRST_SIZE = 64;
/** What is larger is given back when the list is empty. */
const KEPT_SIZE = 512;
/** Beyond it the oldest go: their senders will send again, and be answered then. */
const MAX_SIZE = 4096;

export class AckList {
  #sns = new Int32Array(FIRST_SIZE);
  #timesMs = new Int32Array(FIRST_SIZE);
  #start = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(sn: number, timeMs: number): void {
    if (this.#length === this.#sns.length) this.#makeRoom();
    const at = (this.#start + this.#length++) & (this.#sns.length - 1);
    this.#sns[at] = sn;
    this.#timesMs[at] = timeMs;
  }

  /** Drops those in front that `una` tells of, except the last. */
  skip(una: number): void {
    while (this.#length > 1 && ((this.sn - una) | 0) < 0) this.shift();
  }

  /** Of the first. */
  get sn(): number {
    return this.#sns[this.#start]!;
  }

  get timeMs(): number {
    return this.#timesMs[this.#start]!;
  }

  shift(): void {
    this.#start = (this.#start + 1) & (this.#sns.length - 1);
    if (--this.#length === 0 && this.#sns.length > KEPT_SIZE) this.#resize(FIRST_SIZE);
  }

  #makeRoom(): void {
    if (this.#length < MAX_SIZE) this.#resize(this.#length * 2);
    else this.shift();
  }

  #resize(size: number): void {
    const sns = new Int32Array(size);
    const timesMs = new Int32Array(size);
    for (let index = 0; index < this.#length; index++) {
      const from = (this.#start + index) & (this.#sns.length - 1);
      sns[index] = this.#sns[from]!;
      timesMs[index] = this.#timesMs[from]!;
    }
    this.#sns = sns;
    this.#timesMs = timesMs;
    this.#start = 0;
  }
}
