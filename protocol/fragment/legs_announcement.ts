/**
 * The client's word on which legs there are: said until the central has taken it.
 */

import type { LegsFrame } from "./frames.ts";
import type { LegPlace } from "./leg_seal.ts";

const FIRST_REPEAT_MS = 100;
const MAX_REPEAT_MS = 1000;

export class LegsAnnouncement {
  #frame: LegsFrame | undefined;
  #generation = 0;
  #dueAtMs = Infinity;
  #repeatMs = FIRST_REPEAT_MS;

  /** What is to be said; undefined when it has been taken. */
  get frame(): LegsFrame | undefined {
    return this.#frame;
  }

  get dueAtMs(): number {
    return this.#dueAtMs;
  }

  announce(up: readonly LegPlace[], down: readonly LegPlace[]): void {
    this.#frame = { generation: ++this.#generation, up, down };
    this.#dueAtMs = -Infinity;
    this.#repeatMs = FIRST_REPEAT_MS;
  }

  onSent(nowMs: number): void {
    this.#dueAtMs = nowMs + this.#repeatMs;
    this.#repeatMs = Math.min(MAX_REPEAT_MS, this.#repeatMs * 2);
  }

  /** Whether the newest has been taken by that. */
  onTaken(generation: number): boolean {
    if (!this.#frame || generation !== this.#generation) return false;
    this.#frame = undefined;
    this.#dueAtMs = Infinity;
    return true;
  }
}
