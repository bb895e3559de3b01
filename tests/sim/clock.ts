/**
 * Simulated time for very many timers: time moves in slots of a few milliseconds, everything due in a slot is called in
 * the order in which it was set, and then every promise runs as far as it can. Setting a timer is a push onto its slot's
 * list, so a day with hundreds of millions of them is affordable.
 *
 * Every program has a Clock of its own on it. Ending that is what `kill -9` is: nothing the program had set goes off.
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import { settle } from "../../testing/fake_clock.ts";

class Entry implements Timer {
  callback: (() => void) | undefined;
  readonly #owner: ProgramClock;

  constructor(owner: ProgramClock, callback: () => void) {
    this.#owner = owner;
    this.callback = callback;
  }

  cancel(): void {
    if (!this.callback) return;
    this.callback = undefined;
    this.#owner.pending--;
  }

  [Symbol.dispose](): void {
    this.cancel();
  }

  fire(): void {
    const { callback } = this;
    if (!callback) return;
    this.callback = undefined;
    this.#owner.pending--;
    if (this.#owner.isRunning) callback();
  }
}

export class SlotClock {
  readonly slotMs: number;
  readonly #wallStartMs: number;
  readonly #slots = new Map<number, Entry[]>();
  /** The numbers of the slots in which something is due: a binary heap, the next one first. */
  readonly #next: number[] = [];
  #slot = 0;
  /** Timers that have gone off. */
  fired = 0;

  constructor(slotMs = 10, wallStartMs = Date.UTC(2026, 0, 1)) {
    this.slotMs = slotMs;
    this.#wallStartMs = wallStartMs;
  }

  get nowMs(): number {
    return this.#slot * this.slotMs;
  }

  get wallMs(): number {
    return this.#wallStartMs + this.nowMs;
  }

  /** A clock for a program that starts now. Its idea of the time of day may be wrong. */
  program(skewMs = 0): ProgramClock {
    return new ProgramClock(this, skewMs);
  }

  /** At the earliest in the next slot. */
  after(owner: ProgramClock, delayMs: number, callback: () => void): Timer {
    const slot = this.#slot + Math.max(1, Math.ceil(delayMs / this.slotMs));
    const entry = new Entry(owner, callback);
    const entries = this.#slots.get(slot);
    if (entries) entries.push(entry);
    else {
      this.#slots.set(slot, [entry]);
      this.#push(slot);
    }
    owner.pending++;
    return entry;
  }

  /** Lets time pass until then. */
  async runUntil(untilMs: number): Promise<void> {
    const last = Math.floor(untilMs / this.slotMs);
    await settle();
    while (this.#next.length > 0 && this.#next[0]! <= last) {
      const slot = this.#pop();
      this.#slot = slot;
      const entries = this.#slots.get(slot)!;
      this.#slots.delete(slot);
      this.fired += entries.length;
      for (const entry of entries) entry.fire();
      await settle();
    }
    this.#slot = last;
  }

  #push(slot: number): void {
    const heap = this.#next;
    let at = heap.push(slot) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]! <= slot) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = slot;
  }

  #pop(): number {
    const heap = this.#next;
    const first = heap[0]!;
    const moved = heap.pop()!;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++;
      if (heap[child]! >= moved) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = moved;
    return first;
  }
}

/** The time as one run of a program has it. */
export class ProgramClock implements Clock {
  readonly #slots: SlotClock;
  readonly #skewMs: number;
  isRunning = true;
  /** Timers that are set. */
  pending = 0;

  constructor(slots: SlotClock, skewMs: number) {
    this.#slots = slots;
    this.#skewMs = skewMs;
  }

  now(): number {
    return this.#slots.nowMs;
  }

  wallNow(): number {
    return this.#slots.wallMs + this.#skewMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.#slots.after(this, delayMs, callback);
  }

  end(): void {
    this.isRunning = false;
  }
}
