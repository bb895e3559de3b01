/**
 * The asking side of a peer: connections to others, one for each peer and invitation, made when they are wanted and shared
 * by all who want them.
 *
 *   connect(card) ─▶ there is one? ─▶ a hold on it
 *                └▶ the card is believed ─▶ all ways at once (`race_ways.ts`) ─▶ `shared_line.ts`
 */

import { orAborted } from "../../protocol/abort.ts";
import { deadline } from "../../protocol/clock.ts";
import { CulvertError, DialError, dialFailureOf } from "../../protocol/errors.ts";
import { type PeerCard, refusalOfCard } from "../../protocol/peers/card.ts";
import type { ExpectedCalls } from "./expected_calls.ts";
import type { MeetingLinks } from "./meeting_links.ts";
import type { ConnectOptions, PeerConnection, PeerNetwork } from "./peer_connection.ts";
import type { PeerParts } from "./peer_parts.ts";
import { type PeerLine, PeerWays, type Wanted } from "./peer_ways.ts";
import { raceWays } from "./race_ways.ts";
import { SharedLine } from "./shared_line.ts";

export interface DialledPeersOptions extends PeerParts {
  /** Our links to relays; without them there are only direct ways. */
  readonly links?: MeetingLinks | undefined;
  /** A peer has told us its card, which is newer than the one we had. */
  onCard?(card: PeerCard): void;
  /** For all of `connect`. Default 15 s. */
  readonly connectTimeoutMs?: number;
  /** How long a direct way is waited for when a relay has led there. Default 250 ms. */
  readonly headStartMs?: number;
  /** How long a connection that nobody uses is kept. Default 60 s. */
  readonly idleMs?: number;
}

/** A connection that is being made, and who waits for it. */
interface Attempt {
  readonly shared: Promise<SharedLine>;
  readonly giveUp: AbortController;
  waiting: number;
}

export class DialledPeers implements PeerNetwork, AsyncDisposable {
  readonly #options: DialledPeersOptions;
  readonly #ways: PeerWays;
  readonly #lines = new Map<string, SharedLine>();
  readonly #attempts = new Map<string, Attempt>();
  readonly #tasks = new Set<Promise<unknown>>();
  readonly #stop = new AbortController();
  readonly #metrics;

  constructor(options: DialledPeersOptions) {
    this.#options = options;
    this.#ways = new PeerWays(options, options.links);
    const { metrics } = options;
    this.#metrics = {
      active: metrics.gauge("peer_connections_active", "Connections to other peers", ["way"]),
      made: metrics.counter("peer_connects_total", "Connections to other peers, by what came of them", ["outcome"]),
    };
  }

  /** Where peers that are reached by a relay may call us back; a `PeerHost` hears them. */
  set calls(calls: ExpectedCalls) {
    this.#ways.calls = calls;
  }

  /** How many connections there are. */
  get size(): number {
    return this.#lines.size;
  }

  /** How a peer is connected now, if it is. */
  wayTo(peerId: string): Pick<PeerConnection, "way" | "via" | "rttMs"> | undefined {
    for (const [key, shared] of this.#lines) {
      if (!key.startsWith(`${peerId} `) || shared.isClosed) continue;
      const { way, via, connection } = shared.line;
      return { way, via, rttMs: connection.rttMs };
    }
    return undefined;
  }

  async connect(card: PeerCard, options: ConnectOptions = {}): Promise<PeerConnection> {
    const { invitation, observedAddress, signal } = options;
    signal?.throwIfAborted();
    this.#stop.signal.throwIfAborted();
    const key = `${card.peerId} ${invitation ?? ""}`;
    const known = this.#lines.get(key);
    if (known && !known.isClosed) return known.hold();
    const attempt = this.#attempts.get(key) ?? this.#begin(key, { card, invitation, observedAddress });
    attempt.waiting++;
    try {
      const shared = await orAborted(attempt.shared, signal);
      return shared.hold();
    } finally {
      if (--attempt.waiting === 0) {
        this.#forget(key, attempt); // who comes now makes another
        attempt.giveUp.abort(new CulvertError("closed", "Nobody waits for the peer any more"));
      }
    }
  }

  close(): void {
    this.#stop.abort(new CulvertError("closed", "The connections to peers are closed"));
    for (const line of this.#lines.values()) line.close();
  }

  /** Settles when nothing of them runs any more. Call `close` first. */
  async closed(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.allSettled(this.#tasks);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.closed();
  }

  #begin(key: string, wanted: Wanted): Attempt {
    const giveUp = new AbortController();
    const signal = AbortSignal.any([giveUp.signal, this.#stop.signal]);
    const shared = this.#connect(key, wanted, signal).finally(() => this.#forget(key, attempt));
    const attempt: Attempt = { shared, giveUp, waiting: 0 };
    this.#attempts.set(key, attempt);
    this.#spawn(shared);
    return attempt;
  }

  #forget(key: string, attempt: Attempt): void {
    if (this.#attempts.get(key) === attempt) this.#attempts.delete(key);
  }

  async #connect(key: string, wanted: Wanted, signal: AbortSignal): Promise<SharedLine> {
    const { clock, primitives, log, connectTimeoutMs = 15_000, headStartMs = 250 } = this.#options;
    const { card } = wanted;
    const refusal = refusalOfCard(card, primitives);
    if (refusal) {
      throw new DialError("unauthorized", `Cannot reach a peer by its card: ${refusal.replaceAll("_", " ")}`);
    }
    using limit = deadline(clock, connectTimeoutMs, "reach the peer", signal);
    try {
      const line = await raceWays(this.#ways.of(wanted), { clock, headStartMs, signal: limit.signal });
      log.info("A peer is connected", { peer_id: card.peerId, way: line.way, via: line.via });
      return this.#share(key, wanted, line);
    } catch (error) {
      signal.throwIfAborted();
      this.#metrics.made.add(1, { outcome: dialFailureOf(error) });
      throw error instanceof DialError
        ? error
        : new DialError(dialFailureOf(error), "No way leads to the peer in time", {
          cause: error,
        });
    }
  }

  #share(key: string, wanted: Wanted, line: PeerLine): SharedLine {
    const { clock, random, log, idleMs = 60_000, connectTimeoutMs = 15_000 } = this.#options;
    const newer = this.#newerCard(wanted.card, line);
    const current = newer ? { ...wanted, card: newer } : wanted;
    const shared = new SharedLine({
      ...{ peerId: wanted.card.peerId, line, clock, random, log, idleMs, connectTimeoutMs },
      directWays: () => this.#ways.direct(current),
      onDirect: ({ via }) => {
        this.#metrics.active.add(-1, { way: "relayed" });
        this.#metrics.active.add(1, { way: "direct" });
        log.info("A peer is reached directly now", { peer_id: wanted.card.peerId, via });
      },
    });
    this.#lines.set(key, shared);
    this.#metrics.made.add(1, { outcome: line.way });
    this.#metrics.active.add(1, { way: line.way });
    this.#spawn(shared.ended.then(async () => {
      if (this.#lines.get(key) === shared) this.#lines.delete(key);
      this.#metrics.active.add(-1, { way: shared.line.way });
      await shared.closed();
    }));
    return shared;
  }

  /** What the peer says of itself now, if that is newer, or what a tracker has said of it in other words, and it has said it. */
  #newerCard(known: PeerCard, { welcome: { card } }: PeerLine): PeerCard | undefined {
    const { primitives, onCard } = this.#options;
    if (!card || card.peerId !== known.peerId || card.issuedAtMs < known.issuedAtMs) return undefined;
    if (card.signature === known.signature) return undefined;
    if (refusalOfCard(card, primitives)) return undefined;
    onCard?.(card);
    return card;
  }

  #spawn(task: Promise<unknown>): void {
    this.#tasks.add(task);
    task.catch(() => {}).finally(() => this.#tasks.delete(task)); // whoever waits for it hears of its failure
  }
}
