/**
 * Turns at reading much at once. When hundreds of sockets have something at the same moment, each of them would borrow a
 * large buffer and hold half a message; in turns, a few read whole messages while what the others have waits in the kernel.
 *
 *   enter ─▶ at once, or in order ─▶ read, `touch`, read … ─▶ leave
 *
 * A turn is for what is there: whoever waits for more would keep others waiting, so after `STALLED_MS` without a touch
 * its place is given to the next, and it carries on beside them.
 */

import type { Clock, Timer } from "../protocol/clock.ts";

const DEFAULT_MAX = 16;
const STALLED_MS = 2;

export interface ReadTurn {
  /** Something has been read. */
  touch(): void;
  /** Others may read. Leaving twice is leaving once. */
  leave(): void;
}

export class ReadTurns {
  readonly #clock: Pick<Clock, "now" | "after">;
  readonly #max: number;
  readonly #turns = new Set<Turn>();
  readonly #waiting = new Set<(turn: ReadTurn) => void>();
  #timer: Timer | undefined;

  /** `max` is how many read at once, those who stall aside. */
  constructor(clock: Pick<Clock, "now" | "after">, max = DEFAULT_MAX) {
    this.#clock = clock;
    this.#max = max;
  }

  /** Settles when it is the caller's turn. Whoever enters must leave. */
  enter(): ReadTurn | Promise<ReadTurn> {
    if (this.#turns.size < this.#max) return this.#begin();
    const { promise, resolve } = Promise.withResolvers<ReadTurn>();
    this.#waiting.add(resolve);
    this.#timer ??= this.#clock.after(STALLED_MS, () => this.#passOver());
    return promise;
  }

  #begin(): ReadTurn {
    const turn = new Turn(this.#clock, (ended) => this.#end(ended));
    this.#turns.add(turn);
    return turn;
  }

  #end(turn: Turn): void {
    if (!this.#turns.delete(turn)) return;
    const [next] = this.#waiting;
    if (!next) return;
    this.#waiting.delete(next);
    next(this.#begin());
    if (this.#waiting.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #passOver(): void {
    this.#timer = undefined;
    const sinceMs = this.#clock.now() - STALLED_MS;
    for (const turn of [...this.#turns]) if (turn.touchedAtMs <= sinceMs) this.#end(turn);
    if (this.#waiting.size > 0) this.#timer ??= this.#clock.after(STALLED_MS, () => this.#passOver());
  }
}

class Turn implements ReadTurn {
  touchedAtMs: number;
  readonly #clock: Pick<Clock, "now">;
  readonly #onEnd: (turn: Turn) => void;

  constructor(clock: Pick<Clock, "now">, onEnd: (turn: Turn) => void) {
    this.#clock = clock;
    this.#onEnd = onEnd;
    this.touchedAtMs = clock.now();
  }

  touch(): void {
    this.touchedAtMs = this.#clock.now();
  }

  leave(): void {
    this.#onEnd(this);
  }
}
