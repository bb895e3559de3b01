/**
 * Keeps a peer listed at one tracker.
 *
 *   register ─▶ wait as long as it says ─▶ heartbeat ─▶ wait … ─▶ disposed: unregister
 *      ▲                                      │
 *      ├── at once, when the card has changed or it knows us no more (401, 404)
 *      └── after a growing wait, or the one it asks for, when it cannot be reached or refuses
 *
 * Without a card to tell of, it only remembers where the tracker is.
 */

import { aborted } from "../protocol/abort.ts";
import { Backoff } from "../protocol/backoff.ts";
import { type Clock, deadline, delay } from "../protocol/clock.ts";
import { messageOf } from "../protocol/errors.ts";
import type { Log } from "../protocol/log.ts";
import type { PeerCard } from "../protocol/peers/card.ts";
import type { Random } from "../protocol/random.ts";
import {
  doneSchema,
  type Heartbeat,
  heartbeatAnswerSchema,
  type ListedPeer,
  type RegisterAnswer,
  registerAnswerSchema,
} from "../protocol/tracker/messages.ts";
import { HttpCallError, type SignedHttp } from "./signed_http.ts";
import type { CardCheck } from "./tracker_cards.ts";

/** How a peer stands with a tracker. */
export interface TrackerState {
  readonly url: string;
  readonly isListed: boolean;
  /** Why not, once it was tried. */
  readonly problem: string | undefined;
  /** Where the tracker has seen us come from. */
  readonly observedAddress: string | undefined;
}

export interface TrackerMembershipOptions {
  /** Undefined while there is nothing to tell: once there is, `refresh` says so. */
  readonly describe?: (() => PeerCard | undefined) | undefined;
  readonly state?: (() => Heartbeat) | undefined;
  readonly joinToken?: string | undefined;
  onPeers?(peers: readonly ListedPeer[]): void;
  readonly http: SignedHttp;
  readonly cards: CardCheck;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** A share of the interval by which heartbeats come sooner, so that many peers do not speak as one. */
const JITTER = 0.1;
const RETRY = { baseMs: 1000, maxMs: 60_000 };
/** However often the card changes. */
const HURRY_GAP_MS = 1000;
/** Nobody waits longer for a peer that ends. */
const GOODBYE_MS = 1000;

export class TrackerMembership implements AsyncDisposable {
  readonly url: URL;
  readonly #options: TrackerMembershipOptions;
  readonly #backoff: Backoff;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;
  #hurry = new AbortController();
  #token: string | undefined;
  /** How often the card has changed, and up to which change it was told. */
  #changes = 0;
  #toldChanges = 0;
  #problem: string | undefined;
  #observedAddress: string | undefined;
  /** How long to wait after what failed last. */
  #retryMs = 0;

  constructor(url: URL, options: TrackerMembershipOptions) {
    this.url = url;
    this.#options = options;
    this.#backoff = new Backoff(options.random, RETRY);
    this.#running = options.describe ? this.#run(options.describe, this.#closing.signal) : Promise.resolve();
  }

  get state(): TrackerState {
    return {
      url: this.url.href,
      isListed: this.#token !== undefined && this.#problem === undefined,
      problem: this.#problem,
      observedAddress: this.#observedAddress,
    };
  }

  /** Shows the tracker who we are; there while we are listed. */
  get token(): string | undefined {
    return this.#token;
  }

  /** The card has changed. */
  refresh(): void {
    this.#changes++;
    this.#hurry.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#running;
    if (this.#token === undefined || this.#problem !== undefined) return;
    using limit = deadline(this.#options.clock, GOODBYE_MS, "unregister");
    await this.#post("unregister", doneSchema, {}, limit.signal).catch(() => {}); // it will be forgotten anyhow
  }

  async #run(describe: () => PeerCard | undefined, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    while (!describe() && !signal.aborted) {
      await aborted(AbortSignal.any([signal, this.#hurry.signal]));
      this.#hurry = new AbortController();
    }
    while (!signal.aborted) {
      const isNew = this.#token === undefined || this.#toldChanges < this.#changes;
      this.#hurry = new AbortController();
      const startMs = clock.now();
      const intervalMs = await this.#tell(isNew ? describe : undefined, signal);
      if (intervalMs === undefined && this.#token === undefined && !isNew) continue; // it knows us no more
      const waitMs = intervalMs === undefined ? undefined : intervalMs * (1 - JITTER * random.next());
      await delay(clock, waitMs ?? this.#retryMs, AbortSignal.any([signal, this.#hurry.signal])).catch(() => {});
      await delay(clock, Math.max(0, startMs + HURRY_GAP_MS - clock.now()), signal).catch(() => {});
    }
  }

  /** Registers or sends a heartbeat; gives how long to wait for the next, or nothing if it failed. */
  async #tell(describe: (() => PeerCard | undefined) | undefined, signal: AbortSignal): Promise<number | undefined> {
    try {
      const { intervalMs } = describe
        ? await this.#register(describe()!, signal)
        : await this.#post("heartbeat", heartbeatAnswerSchema, this.#options.state?.() ?? {}, signal);
      if (describe || this.#problem !== undefined) {
        this.#options.log.debug("A tracker lists us", { tracker: this.url.host });
      }
      this.#problem = undefined;
      this.#backoff.reset();
      return intervalMs;
    } catch (error) {
      if (!signal.aborted) this.#failed(error, describe === undefined);
      return undefined;
    }
  }

  async #register(card: PeerCard, signal: AbortSignal): Promise<RegisterAnswer> {
    const { http, joinToken, state, onPeers, cards } = this.#options;
    const changes = this.#changes; // what changes during the call is not in it
    const answer = await http.call({
      url: new URL("api/peers/register", this.url),
      deed: "register at a tracker",
      body: { card, ...joinToken !== undefined && { joinToken }, ...state?.() },
      answer: registerAnswerSchema,
      signal,
    });
    this.#token = answer.token;
    this.#toldChanges = changes;
    this.#observedAddress = answer.observedAddress;
    const others = answer.peers.filter((peer) => peer.card.peerId !== card.peerId && cards.isGenuine(peer.card));
    if (others.length > 0) onPeers?.(others);
    return answer;
  }

  #post<T>(
    path: string,
    answer: { safeParse(value: unknown): { success: true; data: T } | { success: false } },
    body: unknown,
    signal: AbortSignal,
  ): Promise<T> {
    const url = new URL(`api/peers/${path}`, this.url);
    return this.#options.http.call({ url, deed: `${path} at a tracker`, body, bearer: this.#token, answer, signal });
  }

  #failed(error: unknown, wasHeartbeat: boolean): void {
    const { log } = this.#options;
    const { status, retryAfterMs = 0 } = error instanceof HttpCallError ? error : { status: undefined };
    if (wasHeartbeat && (status === 401 || status === 404)) {
      this.#token = undefined;
      log.info("A tracker knows us no more: registering again", { tracker: this.url.host });
      return;
    }
    this.#retryMs = Math.max(retryAfterMs, this.#backoff.nextMs());
    const problem = messageOf(error);
    if (problem !== this.#problem) {
      log.warn("A tracker cannot be told of us", { tracker: this.url.host, error: problem });
    }
    this.#problem = problem;
  }
}
