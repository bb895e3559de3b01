/**
 * How the two ends of an open control stream know that the other is there: when a peer's next ping is due, how long the
 * last one took there and back, and how long a silence means that the stream is dead. Design §5.
 *
 * The supernode says how often and how long, within bounds. A ping that is overtaken by the next measures nothing.
 */

import type { Random } from "../random.ts";
import type { AuthAccepted, Ping, Pong, Telemetry } from "./messages.ts";

/** What a supernode may ask for, so that one that is broken or hostile neither floods nor silences its peers. */
const PING_EVERY_MS = { least: 1_000, most: 60_000 };
const TIMEOUT_MS = { least: 3_000, most: 300_000 };

/** What a supernode asks for. */
type Pace = Pick<AuthAccepted, "pingEveryMs" | "timeoutMs">;

export class Heartbeat {
  /** After so long without a word the stream is dead. */
  readonly timeoutMs: number;
  readonly #random: Random;
  readonly #everyMs: number;
  #nextAtMs: number;
  #sequence = 0;
  #sentAtMs: number | undefined;
  #rttMs: number | undefined;

  constructor(asked: Pace, random: Random, nowMs: number, most: Partial<Pace> = {}) {
    this.#random = random;
    this.timeoutMs = within(TIMEOUT_MS, asked.timeoutMs, most.timeoutMs);
    this.#everyMs = Math.min(within(PING_EVERY_MS, asked.pingEveryMs, most.pingEveryMs), this.timeoutMs / 3);
    // Those that came back together do not ping together.
    this.#nextAtMs = nowMs + random.next() * this.#everyMs;
  }

  /** When `ping` is due. */
  get nextAtMs(): number {
    return this.#nextAtMs;
  }

  /** The ping to be sent now, with what there is to tell. */
  ping(telemetry: Telemetry | undefined, nowMs: number): Ping {
    this.#sequence++;
    this.#sentAtMs = nowMs;
    this.#nextAtMs = nowMs + this.#everyMs * (0.75 + this.#random.next() / 2);
    const rttMs = this.#rttMs;
    return {
      type: "ping",
      sequence: this.#sequence,
      telemetry: { ...telemetry, ...(rttMs !== undefined && { rttMs }) },
    };
  }

  /** How long the way there and back took, if this is the answer that is waited for. */
  answered({ sequence }: Pong, nowMs: number): number | undefined {
    if (this.#sentAtMs === undefined || sequence !== this.#sequence) return undefined;
    this.#rttMs = nowMs - this.#sentAtMs;
    this.#sentAtMs = undefined;
    return this.#rttMs;
  }
}

function within(range: { readonly least: number; readonly most: number }, value: number, most = range.most): number {
  return Math.min(most, Math.max(range.least, value));
}
