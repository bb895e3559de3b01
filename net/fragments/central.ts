/**
 * A central: what clients send in fragments through upstreams comes together here, and leaves by `onward`; what comes
 * back goes in fragments through downstreams.
 *
 *   upstream ─ hop ─▶ OPEN ─▶ checked ─▶ CentralSession ─▶ OPENED by the first downstream
 *                     DATA ─▶ its session's FragmentLink ─▶ mux ─▶ streams, datagrams, requests ─▶ onward
 *
 * An opening that cannot be read, comes by an upstream or under a name that is not its own, or has come before is not
 * answered; one that is refused is told why. There are limits on sessions, of one client where clients are known, and on
 * openings of one upstream; when all places are taken a session that nobody uses gives way.
 * What it does not do: listen (`WebPort` does, and hands sockets to `acceptHop`), or choose where traffic may go.
 */

import { type Clock, deadline, delay, type Timer } from "../../protocol/clock.ts";
import type { ClosedNetwork } from "../../protocol/control/auth.ts";
import { Nonces } from "../../protocol/control/nonces.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import {
  type CentralRefusal,
  encodeCentralRefusal,
  type HopMessage,
  MessageKind,
  parseToCentral,
} from "../../protocol/fragment/messages.ts";
import { downAlias, downClaim, upAlias } from "../../protocol/fragment/aliases.ts";
import {
  checkOpening,
  decodeSecret,
  type OpeningRefusal,
  type OpenReply,
  type OpenRequest,
  ReceivedOpening,
} from "../../protocol/fragment/opening.ts";
import { BlockMemory } from "../../protocol/fragment/block_memory.ts";
import { MAX_FRAGMENT_BYTES } from "../../protocol/fragment/leg_seal.ts";
import type { ReedSolomonFactory } from "../../protocol/fragment/reed_solomon.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { RelayRecord } from "../../protocol/directory.ts";
import { Slab } from "../../protocol/slab.ts";
import type { Hop, Path, Stream } from "../../protocol/stream.ts";
import { TokenBucket } from "../../protocol/token_bucket.ts";
import type { MuxConnection } from "../mux.ts";
import type { RelayFinder } from "../relay_directory.ts";
import { type RequestService, TunnelLinks } from "../tunnel_link.ts";
import { type CentralLimits, DEFAULT_CENTRAL_LIMITS } from "./central_limits.ts";
import { CentralSession, type Route, routeKey, type Routes, upstreamOf } from "./central_session.ts";
import { DownstreamHops, fragmentBytes } from "./downstream_hops.ts";
import { type HopHandlers, HopLink, type HopTools } from "./hop_link.ts";

export interface CentralOptions {
  /** Our peer id. */
  readonly centralId: string;
  readonly tools: HopTools;
  readonly primitives: Primitives;
  readonly reedSolomon: ReedSolomonFactory;
  readonly relays: RelayFinder;
  /** Where clients come out. */
  readonly onward: Path;
  /** What we are called in trails. */
  readonly hops: readonly Hop[];
  /** Makes requests for clients; without it they are refused. */
  readonly requests?: RequestService | undefined;
  readonly network?: ClosedNetwork | undefined;
  readonly log: Log;
  readonly metrics: Metrics;
  /** PEM certificates to trust beside the usual ones. */
  readonly caCerts?: readonly string[] | undefined;
  readonly limits?: CentralLimits;
}

/** As much as one turn of one session may put in front of the others. */
const BATCH_BYTES = 2 * (MAX_FRAGMENT_BYTES + 2);
const HANDSHAKE_MS = 10_000;
const SWEEP_MS = 5000;
/** A session that nobody has used for so long gives way when there is no place left. */
const GIVES_WAY_MS = 10_000;
const BUSY_RETRY_MS = 2000;
/** Above any stall of all legs that a session gets over. */
const SILENT_MS = 30_000;
/** Received and unread bytes of one session's streams. */
const SESSION_BUFFER_BYTES = 32 * 1024 * 1024;

/** A socket that is to become a hop. */
interface Newcomer {
  readonly stream: Stream;
  readonly first: Uint8Array;
  settled(): void;
}

/** A hop from an upstream. */
interface Upstream {
  readonly id: string;
  readonly link: HopLink;
}

/** What is kept of a session beside itself. */
interface Served {
  readonly connection: MuxConnection;
  usedAtMs: number;
}

export class Central implements Disposable {
  readonly #options: CentralOptions;
  readonly #limits: Required<CentralLimits>;
  readonly #clock: Clock;
  readonly #links: TunnelLinks;
  readonly #downstreams: DownstreamHops;
  readonly #upstreams = new Map<string, HopLink>();
  /** All that are open, also those on which nothing has been said yet. */
  readonly #hops = new Set<HopLink>();
  readonly #openings = new Map<string, TokenBucket>();
  readonly #sessions = new Map<CentralSession, Served>();
  readonly #routes: Routes = new Map();
  readonly #seen = new Nonces();
  readonly #batch = new Uint8Array(BATCH_BYTES);
  readonly #scratch = new Slab(MAX_FRAGMENT_BYTES);
  readonly #memory: BlockMemory;
  readonly #stop = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  #sweep: Timer;
  #draining = false;
  readonly #metrics;

  constructor(options: CentralOptions) {
    this.#options = options;
    this.#clock = options.tools.clock;
    this.#limits = { ...DEFAULT_CENTRAL_LIMITS, ...options.limits };
    const { tools, metrics } = options;
    this.#links = new TunnelLinks({
      clock: tools.clock,
      metrics,
      mux: {
        maxStreams: this.#limits.maxStreamsPerSession,
        keepAliveTimeoutMs: SILENT_MS,
        sessionBufferBytes: SESSION_BUFFER_BYTES,
      },
    });
    this.#memory = new BlockMemory(options.reedSolomon);
    this.#downstreams = new DownstreamHops(options);
    this.#sweep = this.#clock.after(SWEEP_MS, () => this.#endUnused());
    this.#metrics = metricsOf(metrics);
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  get streamCount(): number {
    return this.#links.streamCount;
  }

  get upstreamCount(): number {
    return this.#upstreams.size;
  }

  /** How much of what it takes is taken, from 0 to 1: what the directory is told. */
  get load(): number {
    return this.#draining ? 1 : Math.min(1, this.#sessions.size / this.#limits.maxSessions);
  }

  /** Takes a socket on which an upstream is to speak; `settled` is called once it does, or it is over. */
  acceptHop(stream: Stream, first: Uint8Array, settled: () => void): void {
    const task = this.#accept({ stream, first, settled }).catch((error) => {
      this.#metrics.hopsRefused.add(1, { reason: "failed" });
      this.#options.log.debug("A hop was not opened", { error: messageOf(error) });
      settled();
    }).finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
  }

  /** Opens no more sessions or streams, and settles when every stream has ended or the signal is aborted. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#draining = true;
    await this.#links.drain(signal);
    // What the sessions say last is still in the hands of hops.
    for (const session of [...this.#sessions.keys()]) session.close();
    await delay(this.#clock, 0).catch(() => {});
  }

  close(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(new CulvertError("closed", "Central is closing"));
    this.#sweep.cancel();
    for (const session of [...this.#sessions.keys()]) session.close();
    this.#links.close();
    for (const link of this.#hops) link.close(1001);
    this.#downstreams[Symbol.dispose]();
  }

  /** Settles when nothing of it runs any more. Call `close` first. */
  async closed(): Promise<void> {
    await Promise.all([this.#links.closed(), this.#downstreams.closed(), ...this.#tasks]);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #accept({ stream, first, settled }: Newcomer): Promise<void> {
    const { relays, centralId, tools, log } = this.#options;
    using limit = deadline(this.#clock, HANDSHAKE_MS, "open a hop", this.#stop.signal);
    const link = await HopLink.accept(
      { stream, first },
      {
        acceptorId: centralId,
        identify: (key) => relays.bySealingKey("upstream", key),
        refresh: (signal) => relays.refresh(signal),
        welcome: (link, relay) => this.#welcome(link, relay, settled),
      },
      tools,
      limit.signal,
    );
    if (link) return;
    settled();
    this.#metrics.hopsRefused.add(1, { reason: "unknown" });
    log.debug("A hop was refused: the directory knows no such upstream");
  }

  #welcome(link: HopLink, { relayId }: RelayRecord, settled: () => void): HopHandlers {
    const upstream = { id: relayId, link };
    this.#hops.add(link);
    return {
      onMessage: (message) => this.#take(message, upstream),
      // The first message says that the upstream is there now; only then does it take an older hop's place.
      onOpen: () => {
        settled();
        this.#settle(upstream);
      },
      onClose: () => {
        settled();
        this.#hops.delete(link);
        if (this.#upstreams.get(relayId) !== link) return;
        this.#upstreams.delete(relayId);
        this.#metrics.upstreams.set(this.#upstreams.size);
      },
    };
  }

  #settle({ id, link }: Upstream): void {
    const older = this.#upstreams.get(id);
    const isFull = !older && this.#upstreams.size >= this.#limits.maxUpstreams;
    if (isFull && !this.#endUnusedUpstream() || this.#stop.signal.aborted) {
      this.#metrics.hopsRefused.add(1, { reason: "full" });
      return link.close(1013, "too many upstreams");
    }
    this.#upstreams.set(id, link);
    this.#metrics.upstreams.set(this.#upstreams.size);
    older?.close(1000, "replaced");
  }

  /** In an open network anybody may be an upstream: those that no session goes by keep no place from others. */
  #endUnusedUpstream(): boolean {
    const used = new Set(Array.from(this.#routes.keys(), upstreamOf));
    for (const [id, link] of this.#upstreams) {
      if (used.has(id)) continue;
      this.#upstreams.delete(id);
      link.close(1013, "too many upstreams");
      return true;
    }
    return false;
  }

  #take(bytes: Uint8Array, upstream: Upstream): void {
    const message = parseToCentral(bytes);
    if (!message) return this.#metrics.messages.add(1, { outcome: "malformed" });
    if (message.kind === MessageKind.OPEN) return this.#takeOpening(message, upstream);
    const route = this.#routes.get(routeKey(upstream.id, message.alias));
    if (!route) return this.#refuseMessage(message, upstream, "unknown_alias");
    this.#metrics.bytes.add(message.rest.length, { direction: "up" });
    this.#metrics.messages.add(1, { outcome: this.#receive(route, message.rest) });
  }

  /** A session that fails over what it gets ends alone: the hop is that of others as well. */
  #receive({ session, leg }: Route, batch: Uint8Array): "ok" | "malformed" | "failed" {
    try {
      return session.link.receive(leg, batch) ? "ok" : "malformed";
    } catch (error) {
      this.#options.log.error("A session has failed", { error: messageOf(error) });
      session.close();
      return "failed";
    }
  }

  #refuseMessage({ alias }: HopMessage, { link }: Upstream, code: CentralRefusal): void {
    this.#metrics.messages.add(1, { outcome: code });
    link.send(encodeCentralRefusal({ alias, code }));
  }

  #takeOpening(message: HopMessage, upstream: Upstream): void {
    if (this.#draining) return this.#refuseMessage(message, upstream, "draining");
    if (!this.#openingsOf(upstream.id).tryTake()) return this.#refuseMessage(message, upstream, "busy");
    const { tools, centralId } = this.#options;
    using opening = ReceivedOpening.read(tools, { id: centralId, local: tools.local }, message.rest);
    const outcome = opening ? this.#open(opening, message, upstream) : "malformed";
    this.#metrics.openings.add(1, { outcome });
  }

  #openingsOf(upstreamId: string): TokenBucket {
    let bucket = this.#openings.get(upstreamId);
    if (!bucket) {
      if (this.#openings.size >= 4 * this.#limits.maxUpstreams) this.#openings.clear();
      this.#openings.set(upstreamId, bucket = new TokenBucket(this.#clock, this.#limits.openings));
    }
    return bucket;
  }

  #open(opening: ReceivedOpening, { alias }: HopMessage, { id }: Upstream): string {
    const { primitives, network } = this.#options;
    const { request } = opening;
    const secret = decodeSecret(request.secret)!;
    const isTheirs = request.up.some(({ relayId }) => relayId === id) &&
      routeKey(id, upAlias(secret, id, primitives)) === routeKey(id, alias);
    if (!isTheirs) return "foreign";
    const wallMs = this.#clock.wallNow();
    const refusal = checkOpening(opening, { wallMs, seen: this.#seen, primitives, network }) ??
      this.#refusalOf(opening);
    if (refusal === "replayed") return refusal;
    if (refusal) {
      this.#refuse(opening, refusal);
      return refusal;
    }
    return this.#begin(opening) ? "ok" : "malformed";
  }

  /** Why there is no place for it. */
  #refusalOf({ request }: ReceivedOpening): OpeningRefusal | undefined {
    const { maxSessions, maxSessionsPerClient } = this.#limits;
    const { primitives } = this.#options;
    const secret = decodeSecret(request.secret)!;
    const isTaken = request.up.some(({ relayId }) =>
      this.#routes.has(routeKey(relayId, upAlias(secret, relayId, primitives)))
    );
    if (isTaken) return "busy";
    const clientId = this.#clientOf(request);
    const own = clientId === undefined ? [] : [...this.#sessions.keys()].filter((each) => each.clientId === clientId);
    if (own.length >= maxSessionsPerClient && !this.#makeRoom(own)) return "busy";
    return this.#sessions.size < maxSessions || this.#makeRoom(this.#sessions.keys()) ? undefined : "busy";
  }

  #clientOf({ member }: ReceivedOpening["request"]): string | undefined {
    return this.#options.network && member?.peerId;
  }

  /** Ends the session that has been without a stream for longest, if that is long enough. */
  #makeRoom(among: Iterable<CentralSession>): boolean {
    let oldest: CentralSession | undefined;
    let oldestMs = this.#clock.now() - GIVES_WAY_MS;
    for (const session of among) {
      const { connection, usedAtMs } = this.#sessions.get(session)!;
      if (connection.streamCount > 0 || usedAtMs > oldestMs) continue;
      oldest = session;
      oldestMs = usedAtMs;
    }
    oldest?.close();
    return oldest !== undefined;
  }

  #refuse(opening: ReceivedOpening, code: OpeningRefusal): void {
    const retryAfterMs = code === "busy" || code === "draining" ? BUSY_RETRY_MS : undefined;
    const reply: OpenReply = {
      ok: false,
      code,
      message: REFUSAL_WORDS[code],
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    };
    const answer = opening.answer(reply);
    if (answer) this.#post(opening.request, answer.second);
  }

  /** By the downstream that the request names first. */
  #post({ down, secret }: OpenRequest, opened: Uint8Array): void {
    const { primitives } = this.#options;
    const { relayId } = down[0]!;
    this.#downstreams.post(
      relayId,
      downAlias(downClaim(decodeSecret(secret)!, relayId, primitives), primitives),
      opened,
    );
  }

  #begin(opening: ReceivedOpening): boolean {
    const { request } = opening;
    const { idleTimeoutMs, maxStreamsPerSession } = this.#limits;
    const answer = opening.answer({ ok: true, limits: { idleTimeoutMs, maxStreams: maxStreamsPerSession } });
    if (!answer) return false;
    const session = new CentralSession({
      ...this.#options,
      request,
      keys: answer.keys,
      downstreams: this.#downstreams,
      routes: this.#routes,
      batch: this.#batch,
      scratch: this.#scratch,
      memory: this.#memory,
      clientId: this.#clientOf(request),
      onEnd: (session, error) => this.#onEnd(session, error),
    });
    const connection = this.#links.serve(session.link, this.#options);
    if (!connection) return false;
    this.#sessions.set(session, { connection, usedAtMs: this.#clock.now() });
    this.#metrics.sessions.set(this.#sessions.size);
    this.#post(request, answer.second);
    return true;
  }

  #onEnd(session: CentralSession, error?: CulvertError): void {
    if (!this.#sessions.delete(session)) return;
    this.#metrics.sessions.set(this.#sessions.size);
    this.#metrics.ended.add(1, { reason: error ? "lost" : "closed" });
    if (error) this.#options.log.debug("A session was lost", { error: messageOf(error) });
  }

  #endUnused(): void {
    const nowMs = this.#clock.now();
    for (const [session, served] of [...this.#sessions]) {
      if (served.connection.streamCount > 0) served.usedAtMs = nowMs;
      else if (nowMs - served.usedAtMs > this.#limits.idleTimeoutMs) session.close();
    }
    this.#sweep = this.#clock.after(SWEEP_MS, () => this.#endUnused());
  }
}

const REFUSAL_WORDS: Readonly<Record<OpeningRefusal, string>> = {
  busy: "This central has as many sessions as it takes",
  draining: "This central is stopping",
  unauthorized: "This central serves a closed network, and the certificate shown is not of it",
  clock: "The clocks of client and central must be within a minute of each other",
  no_relay: "This central knows none of the downstreams",
  unsupported: "This central does not do what was asked for",
};

function metricsOf(metrics: Metrics) {
  return {
    sessions: metrics.gauge("central_sessions_active", "Sessions of clients"),
    upstreams: metrics.gauge("central_upstream_hops_active", "Hops open from upstreams"),
    openings: metrics.counter("central_openings_total", "Sessions asked for, by outcome", ["outcome"]),
    ended: metrics.counter("central_sessions_ended_total", "Sessions that have ended, by reason", ["reason"]),
    messages: metrics.counter("central_messages_total", "Messages from upstreams, by outcome", ["outcome"]),
    bytes: fragmentBytes(metrics),
    hopsRefused: metrics.counter("central_hops_refused_total", "Hops turned away, by reason", ["reason"]),
  };
}
