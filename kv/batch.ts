/**
 * Heartbeats and the like gathered into one write. Of several for the same key only the newest is written, since each
 * replaces the one before it.
 *
 *   put(key, value) … put(key, value)  ──flushEveryMs──▶  write([...])
 *
 * A write that fails is tried again with the next batch, whose newer values win. There are never more than
 * `maxEntries`: `put` refuses a new key then and says so, but still takes a newer value for one it holds. What was
 * put since the last write is lost if the process dies: this is for what is soon said again.
 */

import type { Clock, Timer } from "../protocol/clock.ts";

export interface BatchOptions<V> {
  readonly clock: Clock;
  readonly write: (values: readonly V[]) => Promise<void>;
  /** Called with what `write` threw; the values are kept for the next time. */
  readonly onError: (error: unknown) => void;
  /** @default 1000 */
  readonly flushEveryMs?: number;
  /** @default 10_000 */
  readonly maxEntries?: number;
}

export class Batch<V> implements AsyncDisposable {
  readonly #options: Required<BatchOptions<V>>;
  #waiting = new Map<string, V>();
  #sent = new Map<string, V>();
  #timer: Timer | undefined;
  #writing: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: BatchOptions<V>) {
    this.#options = { flushEveryMs: 1000, maxEntries: 10_000, ...options };
  }

  /** Takes a value to be written soon; false if there is no room for another key, or the batch is closed. */
  put(key: string, value: V): boolean {
    if (this.#isClosed) return false;
    if (!this.#waiting.has(key) && this.size >= this.#options.maxEntries) return false;
    this.#waiting.set(key, value);
    this.#wind();
    return true;
  }

  /** How many values are held: those that wait, and those being written. */
  get size(): number {
    return this.#waiting.size + this.#sent.size;
  }

  /** Writes what waits now. Never rejects: `onError` is told. */
  async flush(): Promise<void> {
    while (this.#writing) await this.#writing;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#waiting.size === 0) return;
    this.#writing = this.#write();
    await this.#writing;
  }

  /** Writes what waits, once, and takes no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.flush();
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  async #write(): Promise<void> {
    this.#sent = this.#waiting;
    this.#waiting = new Map();
    try {
      await this.#options.write([...this.#sent.values()]);
    } catch (error) {
      // What came meanwhile is newer, so it goes on top of what is put back.
      this.#waiting = new Map([...this.#sent, ...this.#waiting]);
      this.#options.onError(error);
    } finally {
      this.#sent = new Map();
      this.#writing = undefined;
      if (this.#waiting.size > 0) this.#wind();
    }
  }

  #wind(): void {
    if (this.#timer || this.#writing || this.#isClosed) return;
    this.#timer = this.#options.clock.after(this.#options.flushEveryMs, () => {
      this.#timer = undefined;
      void this.flush();
    });
  }
}
