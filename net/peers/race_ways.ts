/**
 * All ways to a peer at once, the first that leads there wins; but a relay's waits a moment for a direct one, unless none is
 * left that could come.
 *
 *   addresses ──┬──┬── direct: wins at once                       │ head start
 *   relays ─────┴──┴── relayed: is held back until then ──────────┴─▶ wins
 *
 * When the peer itself says no, that is the answer, whichever way it came. The rest are given up, and whatever they open all
 * the same is closed.
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import { DialError, dialFailureOf, messageOf } from "../../protocol/errors.ts";
import { mostTelling } from "../../protocol/happy_eyeballs.ts";
import type { PeerLine, Way } from "./peer_ways.ts";
import { TurnedAwayError } from "./sealed_knock.ts";

export interface RaceOptions {
  readonly clock: Clock;
  /** How long a direct way is waited for when a relay has led there. */
  readonly headStartMs: number;
  readonly signal: AbortSignal;
}

/** Rejects with a DialError when no way leads there, or with the signal's reason. */
export function raceWays(ways: readonly Way[], options: RaceOptions): Promise<PeerLine> {
  return new Race(ways, options).run();
}

class Race {
  readonly #ways: readonly Way[];
  readonly #options: RaceOptions;
  readonly #result = Promise.withResolvers<PeerLine>();
  readonly #losers = new AbortController();
  readonly #errors: unknown[] = [];
  #directLeft: number;
  #left: number;
  /** A relayed line that waits for a direct one. */
  #held: PeerLine | undefined;
  #isHeadStartOver = false;
  #timer: Timer | undefined;
  #isOver = false;

  constructor(ways: readonly Way[], options: RaceOptions) {
    this.#ways = ways;
    this.#options = options;
    this.#left = ways.length;
    this.#directLeft = ways.filter(({ way }) => way === "direct").length;
  }

  async run(): Promise<PeerLine> {
    const { clock, headStartMs, signal } = this.#options;
    signal.throwIfAborted();
    if (this.#ways.length === 0) {
      throw new DialError("unresolved", "Its card names no address and no relay by which it could be reached");
    }
    const onAbort = () => this.#fail(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    this.#timer = clock.after(headStartMs, () => {
      this.#isHeadStartOver = true;
      this.#settleHeld();
    });
    for (const way of this.#ways) void this.#try(way);
    try {
      return await this.#result.promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  async #try(way: Way): Promise<void> {
    try {
      this.#arrived(await way.open(this.#losers.signal));
    } catch (error) {
      this.#errors.push(error);
      if (error instanceof TurnedAwayError) this.#fail(error);
    }
    this.#left--;
    if (way.way === "direct") this.#directLeft--;
    this.#settleHeld();
    if (this.#left === 0 && !this.#isOver) this.#fail(this.#failure());
  }

  #arrived(line: PeerLine): void {
    if (this.#isOver || line.way === "relayed" && this.#held) return line.close();
    if (line.way === "direct") return this.#win(line);
    this.#held = line;
  }

  #settleHeld(): void {
    const line = this.#held;
    if (!line || this.#isOver || !this.#isHeadStartOver && this.#directLeft > 0) return;
    this.#held = undefined;
    this.#win(line);
  }

  #win(line: PeerLine): void {
    this.#end(new DOMException("Another way was faster", "AbortError"));
    this.#result.resolve(line);
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#end(error);
    this.#result.reject(error);
  }

  #end(reason: unknown): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#held?.close();
    this.#losers.abort(reason);
  }

  #failure(): DialError {
    const error = mostTelling(this.#errors);
    const code = dialFailureOf(error);
    return new DialError(code, `No way leads to the peer: ${messageOf(error)}`, { cause: error });
  }
}
