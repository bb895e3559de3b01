/**
 * A guard that stays for a while when what it guarded has ended. The far end goes on sending until it has heard of the end or
 * given up, and each of its packets the kernel would answer with a reset.
 *
 *   nobody waits     as long as far ends wait for a word, paqet's and GFK's eight seconds among them
 *   somebody waits   until nothing has come for a moment
 */

import { type Clock, delay } from "../../protocol/clock.ts";
import type { PortGuard } from "./guard.ts";

const HOLD_MS = 15_000;
/** Longer than most round trips. */
const QUIET_MS = 500;
const MOST_HURRIED_MS = 3000;

export class LingeringGuard implements AsyncDisposable {
  /** Whether it stays at all: where a packet was sent, and the port is not to be had again at once. */
  lingers = false;
  readonly #guard: PortGuard;
  readonly #clock: Clock;
  readonly #hurry = new AbortController();

  constructor(guard: PortGuard, clock: Clock) {
    this.#guard = guard;
    this.#clock = clock;
  }

  /** Somebody waits for its end. */
  hurry(): void {
    this.#hurry.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using _guard = this.#guard;
    if (!this.lingers) return;
    const isHeld = delay(this.#clock, HOLD_MS, this.#hurry.signal).then(() => true, () => false);
    if (!await isHeld) await this.#quiet();
  }

  async #quiet(): Promise<void> {
    const untilMs = this.#clock.now() + MOST_HURRIED_MS;
    for (let heard = this.#guard.heardPackets(); this.#clock.now() < untilMs;) {
      await delay(this.#clock, QUIET_MS);
      const now = this.#guard.heardPackets();
      if (now === heard) return;
      heard = now;
    }
  }
}
