/** When to ask a peer that would take nothing more whether it would again: after 0.5 s, and then ever more rarely. */

const FIRST_MS = 500;
const LONGEST_MS = 120_000;

export class WindowProbe {
  #waitMs = 0;
  /** When to look again; Infinity while the window is open. */
  dueMs = Infinity;

  /** The window is so large now; true: it is time to ask. */
  look(window: number, nowMs: number): boolean {
    if (window > 0) {
      this.#waitMs = 0;
      this.dueMs = Infinity;
      return false;
    }
    if (this.#waitMs === 0) {
      this.#waitMs = FIRST_MS;
      this.dueMs = nowMs + FIRST_MS;
      return false;
    }
    if (nowMs < this.dueMs) return false;
    this.#waitMs = Math.min(this.#waitMs + (this.#waitMs >> 1), LONGEST_MS);
    this.dueMs = nowMs + this.#waitMs;
    return true;
  }
}
