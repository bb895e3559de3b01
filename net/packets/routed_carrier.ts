/**
 * A packet carrier that goes by packet relays: what is sent to a place goes to the first relay with a ticket for each relay
 * on the way, and what comes back by them seems to come from that place. Gets its tickets when a place is first used, renews
 * them while it is, and asks anew when a route falls silent: a relay that was started again with its key is not even
 * noticed, another with the same key or a new address of ours within some seconds.
 *
 *   upper ⇄ RoutedCarrier ⇄ carrier ⇄ relay ⇄ relay ⇄ ReturningCarrier ⇄ upper
 *
 * It hides nothing: relays see the payload, and seals belong above it.
 */

import { type Clock, deadline, type Timer } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { formatIp, parseIp } from "../../protocol/ip.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { CarrierCounters, CarrierHandlers, PacketCarrier, PacketPlace } from "../../protocol/packet_carrier.ts";
import type { Random } from "../../protocol/random.ts";
import {
  countOf,
  isRouted,
  kindOf,
  LABEL_AT,
  LABEL_BYTES,
  MAX_HOPS,
  passedOf,
  routeBytes,
  RouteKind,
} from "../../protocol/sealed_route/datagram.ts";
import type { RouteCrypto } from "../../protocol/sealed_route/question.ts";
import type { RoutePlace } from "../../protocol/sealed_route/ticket.ts";
import type { Slab } from "../../protocol/slab.ts";
import { labelHighAt, labelLowAt, Route } from "./route.ts";
import type { RouteHop } from "./route_asker.ts";

export interface RoutedCarrierOptions {
  /** One to four, the nearest first. */
  readonly hops: readonly RouteHop[];
  readonly suite: RouteCrypto;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Places that have a route of their own; beyond it the one that was made first goes. */
const MAX_ROUTES = 64;
const REACH_MS = 10_000;

interface Waiter {
  readonly route: Route;
  resolve(): void;
  reject(error: Error): void;
}

export class RoutedCarrier implements PacketCarrier {
  readonly maxPayloadBytes: number;
  readonly counters: CarrierCounters;
  readonly #inner: PacketCarrier;
  readonly #options: RoutedCarrierOptions;
  readonly #headBytes: number;
  readonly #routes = new Map<string, Route>();
  readonly #waiters = new Set<Waiter>();
  readonly #troubles;
  #handlers: CarrierHandlers | undefined;
  #last: Route | undefined;
  #at = 0;
  #lostPackets = 0;
  #timer: Timer | undefined;
  #timerAtMs = Infinity;
  #isClosed = false;
  #lastTrouble = "";

  /** Takes the carrier over, which must not have been started. */
  constructor(inner: PacketCarrier, options: RoutedCarrierOptions) {
    const { hops, metrics } = options;
    if (hops.length < 1 || hops.length > MAX_HOPS) {
      throw new RangeError(`Cannot go by relays: there must be 1 to ${MAX_HOPS}, got ${hops.length}`);
    }
    this.#inner = inner;
    this.#options = options;
    this.#headBytes = routeBytes(hops.length);
    this.maxPayloadBytes = inner.maxPayloadBytes - this.#headBytes;
    this.#troubles = metrics.counter("routes_troubles_total", "What kept routes from being had.", ["reason"]);
    const own = () => this.#lostPackets;
    this.counters = {
      get sentPackets() {
        return inner.counters.sentPackets;
      },
      get receivedPackets() {
        return inner.counters.receivedPackets;
      },
      get lostPackets() {
        return inner.counters.lostPackets + own();
      },
    };
    inner.start({
      onPacket: (slab, start, end) => this.#take(slab, start, end),
      onTurn: () => this.#handlers?.onTurn(),
      onClose: (error) => this.#end(error),
    });
  }

  get localPorts(): readonly number[] {
    return this.#inner.localPorts;
  }

  get slab(): Slab {
    return this.#inner.slab;
  }

  start(handlers: CarrierHandlers): void {
    if (this.#handlers || this.#isClosed) {
      throw new CulvertError("closed", "Cannot start a carrier: it has been already");
    }
    this.#handlers = handlers;
  }

  place(host: string, port: number): PacketPlace {
    return this.#routeTo(this.#inner.place(host, port));
  }

  /** The place, once there is a route to it. Rejects with what a relay says against it, or `timeout`. */
  async reach(host: string, port: number, signal?: AbortSignal): Promise<PacketPlace> {
    const route = this.#routeTo(this.#inner.place(host, port));
    if (route.head) return route;
    const { clock } = this.#options;
    using limit = deadline(clock, REACH_MS, "reach a place by its relays", signal);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { route, resolve, reject };
    this.#waiters.add(waiter);
    const onAbort = () => reject(limit.signal.reason);
    limit.signal.addEventListener("abort", onAbort, { once: true });
    if (limit.signal.aborted) onAbort();
    try {
      route.hasSent = true;
      this.#wake(route);
      await promise;
      return route;
    } finally {
      limit.signal.removeEventListener("abort", onAbort);
      this.#waiters.delete(waiter);
    }
  }

  reserve(bytes: number): number {
    this.#at = this.#inner.reserve(bytes + this.#headBytes) + this.#headBytes;
    return this.#at;
  }

  commit(length: number, to: PacketPlace): void {
    const route = to instanceof Route ? to : this.#routeTo(to);
    this.#last = route;
    if (!route.hasSent) {
      route.hasSent = true;
      if (route.isResting) this.#wake(route);
    }
    const { head, relay } = route, at = this.#at;
    if (!head || !relay) {
      if (!route.hold(this.slab.bytes.slice(at, at + length))) this.#lostPackets++;
      return;
    }
    this.slab.bytes.set(head, at - this.#headBytes);
    this.#inner.commit(this.#headBytes + length, relay);
  }

  flush(): void {
    this.#inner.flush();
  }

  close(): void {
    this.#inner.close();
    if (!this.#handlers) this.#end(undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inner[Symbol.asyncDispose]();
    this.#end(undefined);
  }

  #take(slab: Slab, start: number, end: number): void {
    const { bytes, view } = slab;
    const head = end > start ? bytes[start]! : 0xff;
    if (!isRouted(head, end - start) || passedOf(head) !== countOf(head)) return;
    if (kindOf(head) === RouteKind.answer) return this.#hear(bytes, start, end);
    if (kindOf(head) !== RouteKind.data || countOf(head) !== this.#options.hops.length) return;
    const route = this.#routeOf(labelHighAt(view, start), labelLowAt(view, start));
    if (!route) return;
    route.hasHeard = true;
    this.#handlers?.onPacket(slab, start + this.#headBytes, end, route);
  }

  #hear(bytes: Uint8Array, start: number, end: number): void {
    const label = bytes.slice(start + LABEL_AT, start + LABEL_AT + LABEL_BYTES);
    const payload = bytes.subarray(start + routeBytes(countOf(bytes[start]!)), end);
    const nowMs = this.#options.clock.now();
    for (const { asker } of this.#routes.values()) if (asker.take(label, payload, nowMs)) break;
    this.#arm();
  }

  #routeOf(labelHigh: number, labelLow: number): Route | undefined {
    const last = this.#last;
    if (last && last.labelLow === labelLow && last.labelHigh === labelHigh) return last;
    for (const route of this.#routes.values()) {
      if (route.labelLow === labelLow && route.labelHigh === labelHigh) return route;
    }
    return undefined;
  }

  #routeTo(place: PacketPlace): Route {
    let route = this.#routes.get(place.key);
    if (!route) {
      route = this.#makeRoute(place);
      const oldest = this.#routes.size >= MAX_ROUTES ? this.#routes.keys().next().value : undefined;
      if (oldest !== undefined) this.#routes.delete(oldest);
      this.#routes.set(place.key, route);
    }
    return route;
  }

  #makeRoute(place: PacketPlace): Route {
    const { hops, suite, random, log, clock } = this.#options;
    const address = parseIp(place.host);
    if (!address) throw new RangeError(`Cannot go by relays: the place must be an IP address, got ${place.host}`);
    return new Route(place, {
      ...{ hops, suite, random, log, target: { address, port: place.port } },
      wallNow: () => clock.wallNow(),
      send: (datagram, to) => this.#send(datagram, this.#placeOf(to)),
      relayPlace: ({ via }) => this.#placeOf(via),
      onRoute: (route) => this.#useRoute(route),
      onTrouble: (code, message) => this.#tellTrouble(code, message, place.key),
    });
  }

  #placeOf({ address, port }: RoutePlace): PacketPlace {
    return this.#inner.place(formatIp(address), port);
  }

  /** Says it once for as long as it is the same. */
  #tellTrouble(code: string, message: string, key: string): void {
    this.#troubles.add(1, { reason: code.slice("route_".length) });
    if (message !== this.#lastTrouble) this.#options.log.warn(message);
    this.#lastTrouble = message;
    if (code === "route_silent" || code === "route_clock") return;
    for (const { route, reject } of this.#waiters) if (route.key === key) reject(new CulvertError(code, message));
  }

  #useRoute(route: Route): void {
    this.#lastTrouble = "";
    const head = route.head!;
    for (const payload of route.takeWaiting()) {
      const at = this.#inner.reserve(head.length + payload.length);
      this.slab.bytes.set(head, at);
      this.slab.bytes.set(payload, at + head.length);
      this.#inner.commit(head.length + payload.length, route.relay!);
    }
    this.#inner.flush();
    for (const waiter of this.#waiters) if (waiter.route === route) waiter.resolve();
  }

  #send(datagram: Uint8Array, to: PacketPlace): void {
    const at = this.#inner.reserve(datagram.length);
    this.slab.bytes.set(datagram, at);
    this.#inner.commit(datagram.length, to);
    this.#inner.flush();
  }

  /** By the timer: what has been reserved must not be written over by a question. */
  #wake(route: Route): void {
    route.isWoken = true;
    this.#arm();
  }

  #arm(): void {
    let dueMs = Infinity;
    for (const route of this.#routes.values()) dueMs = Math.min(dueMs, route.dueMs);
    if (dueMs === this.#timerAtMs || this.#isClosed) return;
    const { clock } = this.#options;
    this.#timer?.cancel();
    this.#timerAtMs = dueMs;
    if (dueMs !== Infinity) this.#timer = clock.after(Math.max(0, dueMs - clock.now()), () => this.#tick());
  }

  #tick(): void {
    this.#timerAtMs = Infinity;
    const nowMs = this.#options.clock.now();
    for (const route of this.#routes.values()) if (nowMs >= route.dueMs) route.tick(nowMs);
    this.#arm();
  }

  #end(error: unknown): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    const reason = new CulvertError("closed", "Cannot go by relays: the carrier has been closed");
    for (const { reject } of this.#waiters) reject(reason);
    this.#handlers?.onClose(error);
  }
}
