/**
 * Timers by when they fall due, then by when they were set. A binary heap in which every entry knows its place, so that
 * setting, cancelling and taking the first are all O(log n) and a cancelled timer is gone at once.
 */

export interface TimerEntry {
  readonly dueMs: number;
  /** Earlier timers fire first when they fall due together. */
  readonly order: number;
  readonly callback: () => void;
  /** Where the entry lies in the heap; -1 when it does not. Kept by the heap. */
  index: number;
}

export class TimerHeap {
  readonly #entries: TimerEntry[] = [];

  get size(): number {
    return this.#entries.length;
  }

  get first(): TimerEntry | undefined {
    return this.#entries[0];
  }

  push(entry: TimerEntry): void {
    entry.index = this.#entries.length;
    this.#entries.push(entry);
    this.#rise(entry);
  }

  /** Takes the entry out; harmless when it is not in. */
  remove(entry: TimerEntry): void {
    const { index } = entry;
    if (index === -1) return;
    entry.index = -1;
    const last = this.#entries.pop()!;
    if (last === entry) return;
    this.#put(last, index);
    this.#rise(last);
    this.#sink(last);
  }

  #rise(entry: TimerEntry): void {
    while (entry.index > 0) {
      const parent = this.#entries[(entry.index - 1) >> 1]!;
      if (!isBefore(entry, parent)) return;
      this.#swap(entry, parent);
    }
  }

  #sink(entry: TimerEntry): void {
    for (;;) {
      const left = this.#entries[2 * entry.index + 1];
      const right = this.#entries[2 * entry.index + 2];
      const child = left && right && isBefore(right, left) ? right : left;
      if (!child || !isBefore(child, entry)) return;
      this.#swap(child, entry);
    }
  }

  #swap(a: TimerEntry, b: TimerEntry): void {
    const index = a.index;
    this.#put(a, b.index);
    this.#put(b, index);
  }

  #put(entry: TimerEntry, index: number): void {
    entry.index = index;
    this.#entries[index] = entry;
  }
}

function isBefore(a: TimerEntry, b: TimerEntry): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}
