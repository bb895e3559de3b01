/**
 * The far end of routes: a packet carrier whose places are reached by the relays that their datagrams came by. A place is
 * named by the label that its datagrams carry, which stays while tickets are renewed and the client moves; how to answer
 * it is read from its newest datagram.
 *
 * A label is known to the client, to the relays and to this end, and proves nothing: what must be genuine is sealed above.
 * Places that nobody has answered are forgotten first, so that made-up ones drive out no others.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { CarrierCounters, CarrierHandlers, PacketCarrier, PacketPlace } from "../../protocol/packet_carrier.ts";
import {
  countOf,
  HEAD_BYTES,
  headByte,
  isRouted,
  kindOf,
  MAX_HOPS,
  passedOf,
  routeBytes,
  RouteKind,
  TICKET_BYTES,
} from "../../protocol/sealed_route/datagram.ts";
import type { Slab } from "../../protocol/slab.ts";
import { labelHighAt, labelLowAt } from "./route.ts";

export interface ReturningCarrierOptions {
  /** By how many relays clients may come, for which room is left in every datagram. Default 2, at most 4. */
  readonly mostHops?: number;
}

/** Places that were answered, and those that were not; beyond it the one that came first goes. */
const MAX_PLACES = 16_384;
const MAX_NEW_PLACES = 1024;

class ReturnPlace implements PacketPlace {
  readonly key: string;
  readonly id: number;
  /** The last relay it came by. */
  relay: PacketPlace;
  /** What goes before a datagram to it: the stack it came by in reverse. */
  head: Uint8Array = new Uint8Array();
  isAnswered = false;

  constructor(id: number, relay: PacketPlace) {
    this.id = id;
    this.key = `route:${id.toString(16)}`;
    this.relay = relay;
  }

  get host(): string {
    return this.relay.host;
  }

  get port(): number {
    return this.relay.port;
  }

  /** Answers by the way that this datagram came, from now on. */
  follow(slab: Slab, start: number, relay: PacketPlace): void {
    this.relay = relay;
    const { bytes } = slab, count = countOf(bytes[start]!);
    if (this.#isSameWay(bytes, start, count)) return;
    const head = bytes.slice(start, start + routeBytes(count));
    head[0] = headByte(RouteKind.data, count, 0);
    for (let at = 0; at < count; at++) {
      const from = start + routeBytes(count - 1 - at);
      head.set(bytes.subarray(from, from + TICKET_BYTES), routeBytes(at));
    }
    this.head = head;
  }

  #isSameWay(bytes: Uint8Array, start: number, count: number): boolean {
    const { head } = this;
    if (head.length !== routeBytes(count)) return false;
    for (let at = 0; at < count; at++) {
      const ours = routeBytes(at), theirs = start + routeBytes(count - 1 - at);
      for (let byte = 0; byte < TICKET_BYTES; byte++) if (head[ours + byte] !== bytes[theirs + byte]) return false;
    }
    return true;
  }
}

export class ReturningCarrier implements PacketCarrier {
  readonly maxPayloadBytes: number;
  readonly #inner: PacketCarrier;
  readonly #mostHops: number;
  readonly #places = new Map<number, ReturnPlace>();
  readonly #newPlaces = new Map<number, ReturnPlace>();
  #handlers: CarrierHandlers | undefined;
  #last: ReturnPlace | undefined;
  #at = 0;
  /** What was left before the datagram that is being written: as much as the last place took. */
  #headBytes = routeBytes(1);

  /** Takes the carrier over, which must not have been started. */
  constructor(inner: PacketCarrier, { mostHops = 2 }: ReturningCarrierOptions = {}) {
    if (!(Number.isInteger(mostHops) && mostHops >= 1 && mostHops <= MAX_HOPS)) {
      throw new RangeError(`Cannot be reached by relays: mostHops must be 1 to ${MAX_HOPS}, got ${mostHops}`);
    }
    this.#inner = inner;
    this.#mostHops = mostHops;
    this.maxPayloadBytes = inner.maxPayloadBytes - routeBytes(mostHops);
  }

  get localPorts(): readonly number[] {
    return this.#inner.localPorts;
  }

  get slab(): Slab {
    return this.#inner.slab;
  }

  get counters(): CarrierCounters {
    return this.#inner.counters;
  }

  start(handlers: CarrierHandlers): void {
    this.#handlers = handlers;
    this.#inner.start({
      onPacket: (slab, start, end, from) => this.#take(slab, start, end, from),
      onTurn: () => handlers.onTurn(),
      onClose: (error) => handlers.onClose(error),
    });
  }

  /** There are none but those that something has come from. */
  place(host: string, port: number): PacketPlace {
    throw new CulvertError("unreachable", `Cannot send to ${host} port ${port}: it must have sent something by relays`);
  }

  reserve(bytes: number): number {
    this.#at = this.#inner.reserve(bytes + routeBytes(this.#mostHops)) + this.#headBytes;
    return this.#at;
  }

  commit(length: number, to: PacketPlace): void {
    if (!(to instanceof ReturnPlace)) throw new TypeError("Cannot send: the place must be one of this carrier");
    if (!to.isAnswered) this.#keep(to);
    const { head, relay } = to, { bytes } = this.slab;
    const start = this.#at - this.#headBytes;
    if (head.length !== this.#headBytes) {
      bytes.copyWithin(start + head.length, this.#at, this.#at + length);
      this.#headBytes = head.length;
    }
    bytes.set(head, start);
    this.#inner.commit(head.length + length, relay);
  }

  flush(): void {
    this.#inner.flush();
  }

  close(): void {
    this.#inner.close();
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#inner[Symbol.asyncDispose]();
  }

  #take(slab: Slab, start: number, end: number, relay: PacketPlace): void {
    const { bytes, view } = slab;
    const head = end - start > HEAD_BYTES ? bytes[start]! : 0xff;
    const count = countOf(head);
    if (!isRouted(head, end - start) || kindOf(head) !== RouteKind.data) return;
    if (count === 0 || count > this.#mostHops || passedOf(head) !== count) return;
    const id = (labelHighAt(view, start) & 0x1fffff) * 2 ** 32 + labelLowAt(view, start);
    const place = this.#last?.id === id ? this.#last : this.#placeOf(id, relay);
    place.follow(slab, start, relay);
    this.#last = place;
    this.#handlers!.onPacket(slab, start + routeBytes(count), end, place);
  }

  #placeOf(id: number, relay: PacketPlace): ReturnPlace {
    let place = this.#places.get(id) ?? this.#newPlaces.get(id);
    if (!place) {
      place = new ReturnPlace(id, relay);
      addBounded(this.#newPlaces, place, MAX_NEW_PLACES);
    }
    return place;
  }

  #keep(place: ReturnPlace): void {
    place.isAnswered = true;
    this.#newPlaces.delete(place.id);
    addBounded(this.#places, place, MAX_PLACES);
  }
}

function addBounded(places: Map<number, ReturnPlace>, place: ReturnPlace, most: number): void {
  if (places.size >= most) {
    const oldest = places.values().next().value;
    if (oldest) {
      oldest.isAnswered = false;
      places.delete(oldest.id);
    }
  }
  places.set(place.id, place);
}
