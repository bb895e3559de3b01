/**
 * What went out on one leg and has not been answered: a ring by fragment number, grown when it must be, bounded.
 */

const FIRST_ENTRIES = 64;
/** A leg with so much unanswered is full, whatever its window. */
export const MAX_UNANSWERED = 4096;

const SENT_AT = 0;
const BYTES = 1;
const DELIVERED = 2;
const DELIVERED_AT = 3;
const APP_LIMITED = 4;
const ASKS = 5;
const FIELDS = 6;

/** What a leg had delivered when a fragment went out: what its rate is measured from. */
export interface SentEntry {
  readonly sentAtMs: number;
  readonly deliveredBytes: number;
  readonly deliveredAtMs: number;
  readonly wasAppLimited: boolean;
  /** It asks for an answer: more than an ACK was in it. */
  readonly asks: boolean;
}

export class SentLog {
  /** Of the first that is unanswered, and of the next to go. */
  #first = 0;
  #next = 0;
  #fields = new Float64Array(FIRST_ENTRIES * FIELDS);
  #inFlightBytes = 0;

  get next(): number {
    return this.#next;
  }

  get first(): number {
    return this.#first;
  }

  get length(): number {
    return this.#next - this.#first;
  }

  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  get isFull(): boolean {
    return this.length >= MAX_UNANSWERED;
  }

  /** Numbers follow one another. In a full log the oldest is forgotten. */
  add(bytes: number, entry: SentEntry): void {
    if (this.isFull) this.dropBefore(this.#first + 1);
    if (this.length * FIELDS === this.#fields.length) this.#grow();
    const fields = this.#fields;
    const at = this.#at(this.#next++);
    fields[at + SENT_AT] = entry.sentAtMs;
    fields[at + BYTES] = bytes;
    fields[at + DELIVERED] = entry.deliveredBytes;
    fields[at + DELIVERED_AT] = entry.deliveredAtMs;
    fields[at + APP_LIMITED] = entry.wasAppLimited ? 1 : 0;
    fields[at + ASKS] = entry.asks ? 1 : 0;
    this.#inFlightBytes += bytes;
  }

  /** Only of a number from `first` to before `next`. */
  get(number: number): SentEntry {
    const fields = this.#fields;
    const at = this.#at(number);
    return {
      sentAtMs: fields[at + SENT_AT]!,
      deliveredBytes: fields[at + DELIVERED]!,
      deliveredAtMs: fields[at + DELIVERED_AT]!,
      wasAppLimited: fields[at + APP_LIMITED] === 1,
      asks: fields[at + ASKS] === 1,
    };
  }

  /** When the first that asks for an answer and has none went out; Infinity when there is none. */
  get askedAtMs(): number {
    for (let number = this.#first; number < this.#next; number++) {
      const at = this.#at(number);
      if (this.#fields[at + ASKS] === 1) return this.#fields[at + SENT_AT]!;
    }
    return Infinity;
  }

  /** Drops all before `number`; gives how many bytes they had. */
  dropBefore(number: number): number {
    let bytes = 0;
    for (const end = Math.min(number, this.#next); this.#first < end; this.#first++) {
      bytes += this.#fields[this.#at(this.#first) + BYTES]!;
    }
    this.#inFlightBytes -= bytes;
    return bytes;
  }

  #at(number: number): number {
    return number * FIELDS % this.#fields.length;
  }

  #grow(): void {
    const old = this.#fields;
    const grown = new Float64Array(old.length * 2);
    for (let number = this.#first; number < this.#next; number++) {
      const from = number * FIELDS % old.length;
      grown.set(old.subarray(from, from + FIELDS), number * FIELDS % grown.length);
    }
    this.#fields = grown;
  }
}
