/**
 * Which slots of a table end when, for a great many that are put off again and again: a ring of lists, one for each tick.
 * Eight bytes a slot. To put one off is left to whoever has the table, which is asked when the tick comes and adds the slot
 * anew if it is not over: so heartbeats cost nothing here.
 */

const NONE = -1;

export interface ExpiryWheelOptions {
  readonly tickMs: number;
  /** No slot is added for later than so many ticks from now, less one. */
  readonly ticks: number;
  readonly nowMs: number;
}

export class ExpiryWheel {
  readonly tickMs: number;
  readonly #first: Int32Array;
  #next = new Int32Array(0);
  /** The slot before, or the list whose first it is, as `-2 - list`. */
  #before = new Int32Array(0);
  #tick: number;

  constructor({ tickMs, ticks, nowMs }: ExpiryWheelOptions) {
    this.tickMs = tickMs;
    this.#first = new Int32Array(ticks).fill(NONE);
    this.#tick = Math.floor(nowMs / tickMs);
  }

  grow(capacity: number): void {
    const [next, before] = [new Int32Array(capacity), new Int32Array(capacity).fill(NONE)];
    next.set(this.#next);
    before.set(this.#before);
    [this.#next, this.#before] = [next, before];
  }

  /** Has the slot asked about in the tick after that time. It is in no list yet. */
  add(slot: number, atMs: number): void {
    const soonest = this.#tick + 1;
    const tick = Math.min(Math.max(soonest, Math.floor(atMs / this.tickMs) + 1), this.#tick + this.#first.length - 1);
    const list = tick % this.#first.length;
    const next = this.#first[list]!;
    this.#next[slot] = next;
    this.#before[slot] = -2 - list;
    this.#first[list] = slot;
    if (next !== NONE) this.#before[next] = slot;
  }

  /** Has it asked about no more. */
  remove(slot: number): void {
    const before = this.#before[slot]!;
    const next = this.#next[slot]!;
    if (before === NONE) return;
    if (before <= -2) this.#first[-2 - before] = next;
    else this.#next[before] = next;
    if (next !== NONE) this.#before[next] = before;
    this.#before[slot] = NONE;
  }

  /** Calls back with every slot whose tick has come; it is in no list then, and may be added again. */
  turn(nowMs: number, onDue: (slot: number) => void): void {
    const until = Math.floor(nowMs / this.tickMs);
    // After a long sleep once around is all there is.
    this.#tick = Math.max(this.#tick, until - this.#first.length);
    while (this.#tick < until) {
      this.#tick++;
      const list = this.#tick % this.#first.length;
      for (let slot = this.#first[list]!; slot !== NONE; slot = this.#first[list]!) {
        this.remove(slot);
        onDue(slot);
      }
    }
  }
}
