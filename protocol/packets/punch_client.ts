/**
 * The client's side of a punch, without sockets: asks at every place where the exit may be, in rounds, until one is answered,
 * and then goes on asking there to see that the way stays open.
 *
 *   const punch = new PunchClient({ keys, candidates, clock, send, mayProbe });
 *   punch.receive(bytes, from);                     // whatever begins as a probe
 *   const at = await punch.search(signal);          // an answer came from there, to what was sent there: both ways are open
 *   if (at) await punch.watch(at, signal);          // until it is no longer answered
 *
 * An exit whose NAT gives it another port for each destination is found where its own asks come from.
 */

import { type Clock, delay } from "../clock.ts";
import type { Bytes } from "../primitives.ts";
import { formatEndpoint } from "../wireguard/endpoint.ts";
import type { Endpoint } from "../wireguard/settings.ts";
import { MAX_CANDIDATES } from "./punch_offer.ts";
import type { ProbeKeys } from "./punch_probe.ts";

/** How often every place is asked, by either side, and how far apart. */
export const PUNCH_ROUNDS = 10;
export const PUNCH_ROUND_MS = 100;
/** How long the last round's answers may take. */
const LAST_ANSWER_MS = 700;
/** Places that the exit did not name, but sent asks from. */
const MAX_LEARNT = 4;

/**
 * While direct: how long after an answer to ask again, how often when there is none yet, and when to give up. Together 0.8 s and
 * a round trip, so that the relay is taken before whoever looks after the session thinks it dead.
 */
export const WATCH_MS = 400;
const WATCH_AGAIN_MS = 80;
const WATCH_LIMIT_MS = 400;
/** No way is waited for longer. */
const MAX_ROUND_TRIP_MS = 1_000;
/** Asks whose answers count; those before are late. */
const MAX_ASKED = (MAX_CANDIDATES + MAX_LEARNT) * PUNCH_ROUNDS;

export interface PunchClientOptions {
  readonly keys: ProbeKeys;
  readonly candidates: readonly Endpoint[];
  readonly clock: Clock;
  send(probe: Bytes, to: Endpoint): void;
  /** Whether a place that the exit asked from may be asked, too. */
  mayProbe(at: Endpoint): boolean;
}

interface Asked {
  readonly place: string;
  readonly atMs: number;
}

export class PunchClient {
  readonly #options: PunchClientOptions;
  readonly #places: Map<string, Endpoint>;
  /** Where each ask went and when, by its sequence; the oldest first. */
  readonly #asked = new Map<number, Asked>();
  /** Of the last answer. */
  #roundTripMs = 0;
  #learnt = 0;
  #onAnswer: (from: string) => void = () => {};

  constructor(options: PunchClientOptions) {
    this.#options = options;
    this.#places = new Map(options.candidates.map((at) => [formatEndpoint(at), at]));
  }

  /** A datagram that came to the device's port. What is not for this punch is passed over. */
  receive(bytes: Uint8Array, from: Endpoint): void {
    const probe = this.#options.keys.open(bytes);
    if (!probe) return;
    const place = formatEndpoint(from);
    if (probe.kind === "ask") {
      this.#options.send(this.#options.keys.answer(probe.sequence), from);
      this.#learn(place, from);
      return;
    }
    const asked = this.#asked.get(probe.sequence);
    if (asked?.place !== place) return;
    this.#asked.delete(probe.sequence);
    this.#roundTripMs = Math.min(this.#options.clock.now() - asked.atMs, MAX_ROUND_TRIP_MS);
    this.#onAnswer(place);
  }

  /** The first place that answers; undefined when none has in all rounds. Rejects when aborted. */
  async search(signal: AbortSignal): Promise<Endpoint | undefined> {
    const { clock } = this.#options;
    const found = new AbortController();
    let place: string | undefined;
    this.#onAnswer = (from) => {
      place ??= from;
      found.abort();
    };
    const either = AbortSignal.any([signal, found.signal]);
    for (let round = 1; round <= PUNCH_ROUNDS && !either.aborted; round++) {
      for (const [name, at] of this.#places) this.#ask(name, at);
      await delay(clock, round < PUNCH_ROUNDS ? PUNCH_ROUND_MS : LAST_ANSWER_MS, either).catch(() => {});
    }
    this.#onAnswer = () => {};
    signal.throwIfAborted();
    return place === undefined ? undefined : this.#places.get(place);
  }

  /** Settles when what is asked there is no longer answered. Rejects when aborted. */
  async watch(at: Endpoint, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const place = formatEndpoint(at);
    for (let isOpen = true; isOpen;) {
      await delay(clock, WATCH_MS, signal);
      isOpen = await this.#isAnswered(place, at, signal);
    }
  }

  /** Asks until an answer comes; false when none has for too long. */
  async #isAnswered(place: string, at: Endpoint, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#options;
    const answered = new AbortController();
    this.#onAnswer = (from) => {
      if (from === place) answered.abort();
    };
    const either = AbortSignal.any([signal, answered.signal]);
    const limitMs = WATCH_LIMIT_MS + this.#roundTripMs;
    // Waits are counted, not time: after a stall of this machine answers may lie unread.
    for (let waitedMs = 0; !either.aborted && waitedMs < limitMs; waitedMs += WATCH_AGAIN_MS) {
      this.#ask(place, at);
      await delay(clock, WATCH_AGAIN_MS, either).catch(() => {});
    }
    signal.throwIfAborted();
    return answered.signal.aborted;
  }

  #ask(place: string, at: Endpoint): void {
    const { sequence, bytes } = this.#options.keys.ask();
    if (this.#asked.size >= MAX_ASKED) this.#asked.delete(this.#asked.keys().next().value!);
    this.#asked.set(sequence, { place, atMs: this.#options.clock.now() });
    this.#options.send(bytes, at);
  }

  #learn(place: string, at: Endpoint): void {
    if (this.#places.has(place) || this.#learnt === MAX_LEARNT || !this.#options.mayProbe(at)) return;
    this.#learnt++;
    this.#places.set(place, at);
    this.#ask(place, at);
  }
}
