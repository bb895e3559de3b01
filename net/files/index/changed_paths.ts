/**
 * Paths at which something has happened, gathered until it is quiet for a moment: what is copied into a folder is then looked
 * at once, and not for each of its writes. Whoever never stops writing is looked at every few seconds.
 *
 * Of more paths than are kept apart, the whole folder is to be looked at.
 */

import type { Clock, Timer } from "../../../protocol/clock.ts";

const QUIET_MS = 200;
const LONGEST_MS = 2000;
const MAX_PATHS = 4096;

/** The whole folder. */
const ALL = "";

export class ChangedPaths implements Disposable {
  readonly #clock: Clock;
  #paths = new Set<string>();
  #sinceMs = 0;
  #timer: Timer | undefined;
  #isDue = false;
  #isClosed = false;
  #wake: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isEmpty(): boolean {
    return this.#paths.size === 0;
  }

  add(paths: readonly string[]): void {
    if (this.#isClosed || paths.length === 0) return;
    const nowMs = this.#clock.now();
    if (this.isEmpty) this.#sinceMs = nowMs;
    for (const path of paths) this.#paths.add(path);
    if (this.#paths.size > MAX_PATHS || this.#paths.has(ALL)) this.#paths = new Set([ALL]);
    this.#timer?.cancel();
    const leftMs = this.#sinceMs + LONGEST_MS - nowMs;
    this.#timer = this.#clock.after(Math.max(0, Math.min(QUIET_MS, leftMs)), () => this.#fallDue());
  }

  addAll(): void {
    this.add([ALL]);
  }

  /** The next that are to be looked at; undefined at the end. For one at a time who waits. */
  async next(): Promise<readonly string[] | undefined> {
    while (!this.#isDue && !this.#isClosed) await new Promise<void>((resolve) => this.#wake = resolve);
    if (this.#isClosed) return undefined;
    const paths = [...this.#paths];
    this.#paths = new Set();
    this.#isDue = false;
    return paths;
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#wake?.();
  }

  #fallDue(): void {
    this.#isDue = true;
    this.#wake?.();
  }
}
