/**
 * The exit's side of one punch, without sockets and without a timer of its own, as an exit has many: it answers what the
 * client asks, and asks a few times at every place where the client may be, so that its own NAT lets the client's asks in.
 *
 *   const punch = new PunchExit({ keys, candidates, clock });
 *   const answer = punch.receive(bytes);           // to be sent to where the ask came from
 *   for (const ask of punch.asks()) …               // every PUNCH_ROUND_MS, until there are none
 *
 * Which way the client's packets then take, the client decides; this side's device follows it by roaming.
 */

import type { Clock } from "../clock.ts";
import type { Bytes } from "../primitives.ts";
import { TokenBucket } from "../token_bucket.ts";
import type { Endpoint } from "../wireguard/settings.ts";
import { PUNCH_ROUNDS } from "./punch_client.ts";
import type { ProbeKeys } from "./punch_probe.ts";

/** More than a search and a watch ever need: two rounds of all places at once, and the asks of a way that is failing. */
const ANSWER_RATE = { perSecond: 20, burst: 200 };

export interface PunchExitOptions {
  readonly keys: ProbeKeys;
  readonly candidates: readonly Endpoint[];
  readonly clock: Clock;
}

export class PunchExit {
  readonly #options: PunchExitOptions;
  readonly #rate: TokenBucket;
  #rounds = 0;
  /** When the client last asked; when this began, if it has not. */
  heardAtMs: number;
  /** Whether it has asked at all: then there is a way between us. */
  isHeard = false;

  constructor(options: PunchExitOptions) {
    this.#options = options;
    this.#rate = new TokenBucket(options.clock, ANSWER_RATE);
    this.heardAtMs = options.clock.now();
  }

  get id(): string {
    return this.#options.keys.id;
  }

  /** What to answer; undefined when it is not for us, or there has been too much. */
  receive(bytes: Uint8Array): Bytes | undefined {
    const { keys, clock } = this.#options;
    const probe = keys.open(bytes);
    if (probe?.kind !== "ask" || !this.#rate.tryTake()) return undefined;
    this.isHeard = true;
    this.heardAtMs = clock.now();
    return keys.answer(probe.sequence);
  }

  /** The asks of the next round, each with its place. */
  asks(): { readonly to: Endpoint; readonly bytes: Bytes }[] {
    if (!this.isAsking) return [];
    this.#rounds++;
    return this.#options.candidates.map((to) => ({ to, bytes: this.#options.keys.ask().bytes }));
  }

  get isAsking(): boolean {
    return this.#rounds < PUNCH_ROUNDS;
  }
}
