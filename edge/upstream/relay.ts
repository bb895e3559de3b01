/**
 * An upstream without its HTTP: takes what clients send for a central and passes it on, sealed once more from here to
 * there, under the name that the session has at this relay.
 *
 *   client ─ WebSocket or POST ─▶ known form ─▶ within its rates ─▶ a central of the directory ─▶ its hop
 *      ▲                                                                                          │
 *      └───────────────── why something was not passed on ◀───────────────────────────────────────┘
 *
 * It can neither read nor change what passes, and does not know where it goes beyond central. Nothing waits here but what
 * the sockets have in hand: what finds no room is refused, and the session sends it again by whichever leg has room.
 */

import type { Clock } from "../../protocol/clock.ts";
import { peerIdBytes } from "../../protocol/fragment/aliases.ts";
import {
  type ClientMessage,
  encodeUpstreamRefusal,
  MAX_MESSAGE_BYTES,
  MessageKind,
  parseCentralRefusal,
  parseClientMessage,
  type UpstreamRefusal,
} from "../../protocol/fragment/messages.ts";
import { type Log, silentLog } from "../../protocol/log.ts";
import type { ChannelBounds, MessageChannel } from "../../protocol/message_channel.ts";
import { type Metrics, noMetrics } from "../../protocol/metrics.ts";
import type { Random } from "../../protocol/random.ts";
import type { TokenRate } from "../../protocol/token_bucket.ts";
import { type AddressUse, type ClientLimitOptions, ClientLimits } from "../client_limits.ts";
import type { DialHop, KnownRelays } from "../hop.ts";
import { Problem } from "../problem.ts";
import type { Admission } from "../relay_app.ts";
import { CentralHops } from "./central_hops.ts";
import { type RefusalListener, type Route, Routes } from "./routes.ts";

export interface UpstreamLimits {
  readonly address?: ClientLimitOptions;
  /** Bytes of one session. Default 64 MiB a second. */
  readonly session?: TokenRate;
  /** Connections of all clients. Default 16,384. */
  readonly maxChannels?: number;
}

export interface UpstreamRelayDeps {
  readonly relays: KnownRelays;
  readonly dialHop: DialHop;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
  readonly metrics?: Metrics;
  readonly limits?: UpstreamLimits;
}

/** What clients' channels may hold: refusals are all that goes to them. */
export const UPSTREAM_BOUNDS: ChannelBounds = { maxMessageBytes: MAX_MESSAGE_BYTES, maxQueuedBytes: 8 * 1024 };

const DEFAULT_SESSION_RATE: TokenRate = { perSecond: 64 * 2 ** 20, burst: 16 * 2 ** 20 };
const DEFAULT_MAX_CHANNELS = 16_384;
/** One channel may carry so many sessions; of more the oldest is forgotten. All channels together leave room for posts. */
const MAX_ROUTES_PER_CHANNEL = 4;
const MAX_POSTED_ROUTES = 16_384;
/** A listener is not told of the same session more often. */
const TELL_EVERY_MS = 20;
/** Openings that wait for base to be asked about their central. */
const MAX_ASKING = 64;
const RETRY_MS = 1000;

/** Status codes with which a channel is closed. */
export const CLOSE_MALFORMED = 4400;
export const CLOSE_GOING_AWAY = 1001;

export class UpstreamRelay implements Admission, Disposable {
  readonly #deps: UpstreamRelayDeps;
  readonly #limits: ClientLimits;
  readonly #routes: Routes;
  readonly #hops: CentralHops;
  readonly #clients = new Set<Client>();
  readonly #metrics;
  #asking = 0;
  #isDraining = false;

  constructor(deps: UpstreamRelayDeps) {
    this.#deps = deps;
    const { clock, random, limits, metrics = noMetrics, log = silentLog } = deps;
    this.#limits = new ClientLimits(clock, random, limits?.address);
    this.#routes = new Routes({
      clock,
      rate: limits?.session ?? DEFAULT_SESSION_RATE,
      maxRoutes: MAX_ROUTES_PER_CHANNEL * (limits?.maxChannels ?? DEFAULT_MAX_CHANNELS) + MAX_POSTED_ROUTES,
    });
    this.#metrics = {
      clients: metrics.gauge("upstream_clients_active", "Clients connected by WebSocket"),
      messages: metrics.counter("upstream_messages_total", "Messages passed on to centrals"),
      bytes: metrics.counter("upstream_bytes_total", "Bytes passed on to centrals"),
      refused: metrics.counter("upstream_refused_total", "What was not taken or not passed on, by reason", ["reason"]),
    };
    this.#hops = new CentralHops({
      ...deps,
      log,
      metrics,
      onMessage: (centralId, message) => this.#hear(centralId, message),
      onLost: (centralId) => {
        for (const route of this.#routes.to(centralId)) this.#tell(route, "central_down");
      },
    });
  }

  /** From 0 to 1, for base. */
  get load(): number {
    if (this.#isDraining) return 1;
    return Math.min(1, this.#clients.size / (this.#deps.limits?.maxChannels ?? DEFAULT_MAX_CHANNELS));
  }

  /** Clients connected by WebSocket. */
  get clients(): number {
    return this.#clients.size;
  }

  /** Why a client at that address cannot connect now. Counts the attempt. */
  refusalOf(remoteAddress: string | undefined): Problem | undefined {
    const use = this.#limits.useOf(remoteAddress);
    const waitMs = this.#limits.takeAttempt(use);
    if (waitMs > 0) {
      return this.refuse("rate_limited", "Cannot take more from this address now", { retryAfterMs: waitMs });
    }
    if (this.#isDraining) {
      return this.refuse("draining", "Cannot take clients: this relay is about to stop; use another", {
        retryAfterMs: RETRY_MS,
      });
    }
    const isFull = this.#clients.size >= (this.#deps.limits?.maxChannels ?? DEFAULT_MAX_CHANNELS);
    if (!isFull && this.#limits.hasRoom(use)) return undefined;
    return this.refuse("busy", "Cannot take a client: there are as many as there may be; use another relay", {
      retryAfterMs: RETRY_MS,
    });
  }

  refuse(...[code, detail, extras]: ConstructorParameters<typeof Problem>): Problem {
    this.#metrics.refused.add(1, { reason: code });
    return new Problem(code, detail, extras);
  }

  /** Serves a client. `onKnown` is called once it has said something that makes sense, or has gone. */
  join(channel: MessageChannel, remoteAddress: string | undefined, onKnown: () => void = () => {}): void {
    const client = new Client(channel, this.#limits.useOf(remoteAddress), onKnown);
    this.#clients.add(client);
    this.#metrics.clients.add(1);
    if (client.use) client.use.channels++;
    channel.start({
      onMessage: (message) => this.#takeFrom(client, message),
      onClose: () => this.#leave(client),
    });
  }

  /** Takes the body of a POST, of one that is not refused; or gives the problem with it. */
  async post(body: Uint8Array, remoteAddress: string | undefined): Promise<Problem | undefined> {
    const message = parseClientMessage(body);
    if (!message) {
      return this.refuse("bad_request", "Cannot pass it on: it must be kind, central id, alias and fragments");
    }
    let code = this.#pass(message, this.#limits.useOf(remoteAddress), undefined);
    if (code === "no_such_central") {
      await this.#deps.relays.refresh().catch(() => {});
      code = this.#pass(message, undefined, undefined);
    }
    return code && this.#problemOf(code);
  }

  /** Takes no more clients and says goodbye to those there are, who find another relay. */
  drain(): void {
    this.#isDraining = true;
    for (const { channel } of this.#clients) channel.close(CLOSE_GOING_AWAY, "about to stop");
    this.#hops.close();
  }

  [Symbol.dispose](): void {
    this.#isDraining = true;
    for (const { channel } of [...this.#clients]) channel[Symbol.dispose]();
    this.#hops[Symbol.dispose]();
  }

  #takeFrom(client: Client, bytes: Uint8Array): void {
    const message = parseClientMessage(bytes);
    if (!message) {
      this.#metrics.refused.add(1, { reason: "bad_request" });
      return client.channel.close(CLOSE_MALFORMED, "not a message of a client");
    }
    const route = client.routeOf(message) ?? this.#routeFor(client, message);
    const code = route ? this.#passBy(route, message, client.use) : "busy";
    if (!code) return client.known();
    if (code === "no_such_central") {
      if (message.kind === MessageKind.OPEN) return this.#askAndPass(client, message);
      this.#deps.relays.refresh().catch(() => {}); // what comes later of the session is passed on
    }
    if (route) this.#tell(route, code);
    else this.#metrics.refused.add(1, { reason: code });
  }

  #routeFor(client: Client, message: ClientMessage): Route | undefined {
    const route = this.#routes.of(message, client.listener);
    if (!route) return undefined;
    const oldest = client.add(route);
    if (oldest) this.#routes.leave(oldest, client.listener);
    return route;
  }

  /** Base may not have told of that central yet. */
  #askAndPass(client: Client, message: ClientMessage): void {
    const route = client.routeOf(message);
    if (!route) return;
    if (this.#asking >= MAX_ASKING) return this.#tell(route, "no_such_central");
    this.#asking++;
    const kept = parseClientMessage(copyOf(message))!;
    const pass = () => {
      this.#asking--;
      const code = this.#passBy(route, kept, undefined);
      if (code) this.#tell(route, code);
      else client.known();
    };
    this.#deps.relays.refresh().then(pass, pass);
  }

  #pass(
    message: ClientMessage,
    use: AddressUse | undefined,
    listener: RefusalListener | undefined,
  ): UpstreamRefusal | undefined {
    const route = this.#routes.of(message, listener);
    if (!route) return "busy";
    if (message.kind === MessageKind.OPEN) route.refusal = undefined;
    if (route.refusal === "busy") {
      route.refusal = undefined;
      return "busy";
    }
    if (route.refusal) return "refused_by_central";
    return this.#passBy(route, message, use);
  }

  #passBy(route: Route, message: ClientMessage, use: AddressUse | undefined): UpstreamRefusal | undefined {
    const { rest, kind } = message;
    const isOpening = kind === MessageKind.OPEN;
    if (isOpening && this.#limits.takeAttempt(use) > 0) return "too_much";
    if (!route.bucket.takeUnlessBehind(rest.length) || use?.takeBytes(rest.length) === false) return "too_much";
    const refusal = this.#hops.send(route.centralId, isOpening ? route.openHead : route.dataHead, rest);
    if (refusal) return refusal;
    this.#metrics.messages.add();
    this.#metrics.bytes.add(rest.length);
    return undefined;
  }

  /** What a central says about a session. */
  #hear(centralId: string, bytes: Uint8Array): void {
    const refusal = parseCentralRefusal(bytes);
    const route = refusal && this.#routes.find(peerIdBytes(centralId)!, refusal.alias);
    if (!route) return;
    if (route.listener) this.#tell(route, refusal.code === "busy" ? "busy" : "refused_by_central");
    else route.refusal = refusal.code;
  }

  #tell(route: Route, code: UpstreamRefusal): void {
    this.#metrics.refused.add(1, { reason: code });
    const nowMs = this.#deps.clock.now();
    if (nowMs - route.toldAtMs < TELL_EVERY_MS) return;
    route.toldAtMs = nowMs;
    route.listener?.refuse(route, code);
  }

  #leave(client: Client): void {
    if (!this.#clients.delete(client)) return;
    this.#metrics.clients.add(-1);
    if (client.use) client.use.channels--;
    for (const route of client.routes) this.#routes.leave(route, client.listener);
    client.known();
  }

  #problemOf(code: UpstreamRefusal): Problem {
    const detail = {
      no_such_central: "Cannot pass it on: the central must be one of the directory",
      central_down: "Cannot pass it on: central cannot be reached at present",
      busy: "Cannot pass it on: there is no room now; send it another way",
      refused_by_central: "Cannot pass it on: central knows no such session, or takes no more",
      too_much: "Cannot pass it on: it is more than may go through here in this time",
    }[code];
    const mayRetry = code === "central_down" || code === "busy" || code === "too_much";
    return this.refuse(code, detail, mayRetry ? { retryAfterMs: RETRY_MS } : {});
  }
}

/** One that is connected by WebSocket. */
class Client {
  readonly channel: MessageChannel;
  readonly use: AddressUse | undefined;
  readonly listener: RefusalListener;
  readonly routes = new Set<Route>();
  #onKnown: (() => void) | undefined;
  #last: Route | undefined;

  constructor(channel: MessageChannel, use: AddressUse | undefined, onKnown: () => void) {
    this.channel = channel;
    this.use = use;
    this.#onKnown = onKnown;
    this.listener = {
      refuse({ centralBytes, alias }, code) {
        if (channel.isWritable) channel.send(encodeUpstreamRefusal({ centralId: centralBytes, alias, code }));
      },
    };
  }

  /** The route of its last message, which is mostly that of the next, or another of its own. */
  routeOf(message: ClientMessage): Route | undefined {
    if (this.#last?.isFor(message)) return this.#last;
    for (const route of this.routes) if (route.isFor(message)) return this.#last = route;
    return undefined;
  }

  /** Gives the one that has to go for it. */
  add(route: Route): Route | undefined {
    this.#last = route;
    this.routes.add(route);
    if (this.routes.size <= MAX_ROUTES_PER_CHANNEL) return undefined;
    const [oldest] = this.routes;
    this.routes.delete(oldest!);
    return oldest;
  }

  /** It has said something that makes sense, or has gone. */
  known(): void {
    this.#onKnown?.();
    this.#onKnown = undefined;
  }
}

function copyOf({ kind, centralId, alias, rest }: ClientMessage): Uint8Array {
  const copy = new Uint8Array(1 + centralId.length + alias.length + rest.length);
  copy[0] = kind;
  copy.set(centralId, 1);
  copy.set(alias, 1 + centralId.length);
  copy.set(rest, 1 + centralId.length + alias.length);
  return copy;
}
