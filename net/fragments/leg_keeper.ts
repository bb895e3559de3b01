/**
 * Keeps one leg to one relay up: connects, waits for its end, waits a while, connects again. When that fails twice in a
 * row it says so, and goes on trying: whether there is a better relay is for whoever owns the leg to find.
 */

import { Backoff } from "../../protocol/backoff.ts";
import { type Clock, deadline, delay } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { Random } from "../../protocol/random.ts";
import type { Relay } from "./legs.ts";

/** What carries a leg while it is up. */
export interface LegCarrier extends Disposable {
  /** Says goodbye behind what was sent; `onClose` of its opener follows. */
  close(): void;
}

export interface LegKeeperOptions<C extends LegCarrier> {
  readonly leg: number;
  readonly relay: Relay;
  readonly clock: Clock;
  readonly random: Random;
  /** Connects; leaves nothing behind when the signal is aborted. */
  open(onClose: (error?: unknown) => void, signal: AbortSignal): Promise<C>;
  onUp(carrier: C): void;
  /** What was up is not any more. */
  onDown(error?: unknown): void;
  /** It has failed twice in a row, or once more since. */
  onBad(error: unknown): void;
}

const CONNECT_MS = 5000;
/** A leg that lived so long shows that its relay is well. */
const STEADY_MS = 10_000;
const BAD_FAILURES = 2;

export class LegKeeper<C extends LegCarrier> implements Disposable {
  readonly leg: number;
  readonly relay: Relay;
  readonly #options: LegKeeperOptions<C>;
  readonly #stop = new AbortController();
  #carrier: C | undefined;
  /** Settles when nothing of it is left. Close it first. */
  readonly done: Promise<void>;

  constructor(options: LegKeeperOptions<C>) {
    this.leg = options.leg;
    this.relay = options.relay;
    this.#options = options;
    this.done = this.#keep();
  }

  /** What carries it; undefined while it is down. */
  get carrier(): C | undefined {
    return this.#carrier;
  }

  /** Says goodbye behind what was sent, and connects no more. */
  close(): void {
    this.#stop.abort(new CulvertError("closed", "The leg was closed"));
    this.#carrier?.close();
  }

  /** Ends at once. */
  [Symbol.dispose](): void {
    this.#stop.abort(new CulvertError("closed", "The leg was closed"));
    this.#carrier?.[Symbol.dispose]();
  }

  async #keep(): Promise<void> {
    const { clock, random, onBad } = this.#options;
    const { signal } = this.#stop;
    const backoff = new Backoff(random, { baseMs: 100, maxMs: 5000 });
    for (let failures = 0; !signal.aborted;) {
      const startedMs = clock.now();
      const error = await this.#once().catch((error) => error);
      if (signal.aborted) return;
      if (clock.now() - startedMs >= STEADY_MS) {
        failures = 0;
        backoff.reset();
      }
      if (++failures >= BAD_FAILURES) onBad(error);
      await delay(clock, backoff.nextMs(), signal).catch(() => {});
    }
  }

  /** Connects, and gives why it has ended. */
  async #once(): Promise<unknown> {
    const { clock, open, onUp, onDown } = this.#options;
    const { signal } = this.#stop;
    const ended = Promise.withResolvers<unknown>();
    const carrier = await this.#connect(open, ended.resolve, clock);
    if (signal.aborted) {
      carrier[Symbol.dispose]();
    } else {
      this.#carrier = carrier;
      onUp(carrier);
    }
    const error = await ended.promise;
    this.#carrier = undefined;
    if (!signal.aborted) onDown(error);
    return error;
  }

  async #connect(open: LegKeeperOptions<C>["open"], onClose: (error?: unknown) => void, clock: Clock): Promise<C> {
    using limit = deadline(clock, CONNECT_MS, "reach a relay", this.#stop.signal);
    return await open(onClose, limit.signal);
  }
}
