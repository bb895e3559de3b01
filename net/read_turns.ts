/**
 * Turns at reading much at once. When hundreds of sockets have something at the same moment, each of them would borrow a
 * large buffer and hold half a message; in turns, a few read whole messages while what the others have waits in the kernel.
 *
 *   enter ─▶ at once, or in order ─▶ read, `touch`, read … ─▶ leave
 *
 * A turn is for what is there: whoever waits for more would keep others waiting, so when two looks in a row find it
 * without a touch its place is given to the next, and it carries on beside them. One look would not do: it comes late when
 * there is much to do, and what has arrived by then is read only after it.
 */

import type { Clock, Timer } from "../protocol/clock.ts";

const DEFAULT_MAX = 16;
const LOOK_MS = 2;

export interface ReadTurn {
  /** Something has been read. */
  touch(): void;
  /** Others may read. Leaving twice is leaving once. */
  leave(): void;
}

export class ReadTurns {
  readonly #clock: Pick<Clock, "after">;
  readonly #max: number;
  readonly #turns = new Set<Turn>();
  readonly #waiting = new Set<(turn: ReadTurn) => void>();
  #timer: Timer | undefined;

  /** `max` is how many read at once, those who stall aside. */
  constructor(clock: Pick<Clock, "after">, max = DEFAULT_MAX) {
    this.#clock = clock;
    this.#max = max;
  }

  /** Settles when it is the caller's turn. Whoever enters must leave. */
  enter(): ReadTurn | Promise<ReadTurn> {
    if (this.#turns.size < this.#max) return this.#begin();
    const { promise, resolve } = Promise.withResolvers<ReadTurn>();
    this.#waiting.add(resolve);
    this.#timer ??= this.#clock.after(LOOK_MS, () => this.#passOver());
    return promise;
  }

  #begin(): ReadTurn {
    const turn = new Turn((ended) => this.#end(ended));
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
    for (const turn of [...this.#turns]) {
      if (turn.isIdle) this.#end(turn);
      else turn.isIdle = true;
    }
    if (this.#waiting.size > 0) this.#timer ??= this.#clock.after(LOOK_MS, () => this.#passOver());
  }
}

class Turn implements ReadTurn {
  /** Whether nothing has been read since the last look. */
  isIdle = false;
  readonly #onEnd: (turn: Turn) => void;

  constructor(onEnd: (turn: Turn) => void) {
    this.#onEnd = onEnd;
  }

  touch(): void {
    this.isIdle = false;
  }

  leave(): void {
    this.#onEnd(this);
  }
}
