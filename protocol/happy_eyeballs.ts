/**
 * Happy eyeballs, RFC 8305 §4 and §5: several addresses of one host, raced with a head start for the better one.
 *
 *   v6 ──attempt──────────────…
 *          250 ms   v4 ──attempt──── connected: the winner; the other attempts are aborted
 *
 * The next attempt starts when the last one has had its delay, or at once when one fails. Addresses come checked and
 * resolved: the whole answer is in hand before the race, so the resolution delay of §3 does not apply.
 */

import type { Clock, Timer } from "./clock.ts";
import { type DialFailure, dialFailureOf } from "./errors.ts";
import type { IpAddress } from "./ip.ts";

/** RFC 8305 §8, recommended. */
export const DEFAULT_ATTEMPT_DELAY_MS = 250;

export interface RaceOptions<C, A = IpAddress> {
  readonly clock: Clock;
  readonly attemptDelayMs: number;
  /** Ends the race: every attempt is aborted with its reason and the race rejects with it. */
  readonly signal: AbortSignal;
  connect(address: A, signal: AbortSignal): Promise<C>;
}

/** The order to try addresses in: v6 first, then families in turn, each in the order it came. RFC 8305 §4. */
export function interleave(addresses: readonly IpAddress[]): IpAddress[] {
  const v6 = addresses.filter((address) => address.length === 16);
  const v4 = addresses.filter((address) => address.length === 4);
  const ordered: IpAddress[] = [];
  for (let at = 0; at < Math.max(v6.length, v4.length); at++) {
    if (at < v6.length) ordered.push(v6[at]!);
    if (at < v4.length) ordered.push(v4[at]!);
  }
  return ordered;
}

/** The first connection to succeed; when none does, rejects with the most telling error. An address may be anything. */
export function race<C extends { close(): void }, A = IpAddress>(
  addresses: readonly A[],
  options: RaceOptions<C, A>,
): Promise<C> {
  return new Promise((resolve, reject) => new Race(addresses, options, resolve, reject).start());
}

class Race<C extends { close(): void }, A> {
  readonly #addresses: readonly A[];
  readonly #options: RaceOptions<C, A>;
  readonly #resolve: (winner: C) => void;
  readonly #reject: (error: unknown) => void;
  readonly #running = new Set<AbortController>();
  readonly #errors: unknown[] = [];
  #next = 0;
  #headStart: Timer | undefined;
  #over = false;
  readonly #onAbort = () => this.#end(() => this.#reject(this.#options.signal.reason), this.#options.signal.reason);

  constructor(
    addresses: readonly A[],
    options: RaceOptions<C, A>,
    resolve: (winner: C) => void,
    reject: (error: unknown) => void,
  ) {
    this.#addresses = addresses;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    if (this.#options.signal.aborted) return this.#onAbort();
    this.#options.signal.addEventListener("abort", this.#onAbort, { once: true });
    this.#startNext();
  }

  #startNext(): void {
    this.#headStart?.cancel();
    this.#headStart = undefined;
    const address = this.#addresses[this.#next++];
    if (address !== undefined) void this.#attempt(address);
    else if (this.#running.size === 0) this.#end(() => this.#reject(mostTelling(this.#errors)));
    if (this.#over || this.#next >= this.#addresses.length) return;
    this.#headStart = this.#options.clock.after(this.#options.attemptDelayMs, () => this.#startNext());
  }

  async #attempt(address: A): Promise<void> {
    const attempt = new AbortController();
    this.#running.add(attempt);
    try {
      const connection = await this.#options.connect(address, attempt.signal);
      this.#running.delete(attempt);
      if (this.#over) return connection.close(); // it won at the same moment as another
      this.#end(() => this.#resolve(connection));
    } catch (error) {
      this.#running.delete(attempt);
      if (this.#over) return;
      this.#errors.push(error);
      this.#startNext();
    }
  }

  #end(settle: () => void, reason?: unknown): void {
    this.#over = true;
    this.#headStart?.cancel();
    this.#options.signal.removeEventListener("abort", this.#onAbort);
    settle();
    for (const attempt of this.#running) attempt.abort(reason);
  }
}

/** What says most about the host comes first, what says most about this machine's routes last. */
const MOST_TELLING: readonly DialFailure[] = [
  "unauthorized",
  "busy", // no attempt was really made: the others' errors are beside the point
  "refused",
  "timeout",
  "host_unreachable",
  "network_unreachable",
  "denied",
];

/** The error that tells most about why no address answered; the first of its kind. */
export function mostTelling(errors: readonly unknown[]): unknown {
  for (const code of MOST_TELLING) {
    const error = errors.find((error) => dialFailureOf(error) === code);
    if (error !== undefined) return error;
  }
  return errors[0];
}
