/**
 * One route of a routed carrier: the place it leads to, what is written before each datagram, and what is known of how it
 * goes. A route that is used and hears nothing back asks for new tickets, because the relay may be gone or our address have
 * changed, neither of which anybody would tell us.
 *
 * `hasSent` and `hasHeard` are set by the carrier, without a look at the clock, and looked at every half a second while
 * the route is in use.
 */

import type { PacketPlace } from "../../protocol/packet_carrier.ts";
import type { Bytes } from "../../protocol/primitives.ts";
import { LABEL_AT, LABEL_BYTES, routeBytes, RouteKind } from "../../protocol/sealed_route/datagram.ts";
import { RouteAsker, type RouteAskerOptions, type SealedRoute, writeRoute } from "./route_asker.ts";

const LOOK_MS = 500;
/** Silent for so many looks: something is wrong on the way. */
const SILENT_LOOKS = 3;
/** Asked in vain for so long while nobody used it. */
const IDLE_LOOKS = 20;
/** Datagrams that wait for the first tickets; beyond it they are lost. */
const MAX_WAITING = 16;

export interface RouteEvents {
  /** It may be used from now on, or by other tickets. */
  onRoute(route: Route): void;
  onTrouble: RouteAskerOptions["onTrouble"];
}

export class Route implements PacketPlace {
  readonly host: string;
  readonly port: number;
  readonly key: string;
  hasSent = false;
  hasHeard = false;
  /** What comes before each payload; undefined until there are tickets. */
  head: Bytes | undefined;
  /** The first relay. */
  relay: PacketPlace | undefined;
  /** It was used after a while in which it was not. */
  isWoken = false;
  /** The label, as the first two words of a datagram without its first byte. */
  readonly labelHigh: number;
  readonly labelLow: number;
  readonly asker: RouteAsker;
  readonly #label: Bytes;
  readonly #waiting: Bytes[] = [];
  #lookMs = Infinity;
  #silentLooks = 0;
  #idleLooks = 0;

  constructor(
    place: PacketPlace,
    options: Omit<RouteAskerOptions, "onRoute" | "onTrouble"> & RouteEvents & {
      relayPlace(route: SealedRoute): PacketPlace;
    },
  ) {
    this.host = place.host;
    this.port = place.port;
    this.key = place.key;
    this.#label = options.random.fill(new Uint8Array(LABEL_BYTES));
    const view = new DataView(this.#label.buffer);
    this.labelHigh = view.getUint16(0) * 256 + view.getUint8(2);
    this.labelLow = view.getUint32(3);
    this.asker = new RouteAsker({
      ...options,
      onRoute: (route) => {
        this.head = new Uint8Array(routeBytes(route.tickets.length));
        writeRoute(this.head, { kind: RouteKind.data, label: this.#label, tickets: route.tickets });
        this.relay = options.relayPlace(route);
        options.onRoute(this);
      },
    });
  }

  /** Nobody has used it for a while. */
  get isResting(): boolean {
    return this.#lookMs === Infinity && !this.isWoken;
  }

  /** When `tick` is to be called. */
  get dueMs(): number {
    return this.isWoken ? -Infinity : Math.min(this.#lookMs, this.asker.dueMs);
  }

  tick(nowMs: number): void {
    if (this.isWoken) this.#wake(nowMs);
    if (nowMs >= this.#lookMs) this.#look(nowMs);
    this.asker.tick(nowMs);
  }

  /** Keeps a datagram until there is a way; false when too many wait. */
  hold(datagram: Bytes): boolean {
    if (this.#waiting.length >= MAX_WAITING) return false;
    this.#waiting.push(datagram);
    return true;
  }

  takeWaiting(): Bytes[] {
    return this.#waiting.splice(0);
  }

  #wake(nowMs: number): void {
    this.isWoken = false;
    this.#lookMs = nowMs + LOOK_MS;
    this.#silentLooks = 0;
    this.#idleLooks = 0;
    if (!this.head || nowMs >= this.asker.renewAtMs) this.asker.begin(nowMs);
  }

  #look(nowMs: number): void {
    const { hasSent, hasHeard } = this;
    this.hasSent = this.hasHeard = false;
    this.#silentLooks = hasHeard || !hasSent && this.#silentLooks === 0 ? 0 : this.#silentLooks + 1;
    this.#idleLooks = hasSent ? 0 : this.#idleLooks + 1;
    this.#lookMs = nowMs + LOOK_MS;
    if (this.#idleLooks >= IDLE_LOOKS) {
      this.#lookMs = Infinity;
      return this.asker.rest();
    }
    const isSilent = this.#silentLooks >= SILENT_LOOKS;
    if (isSilent) this.#silentLooks = 0;
    if (isSilent || nowMs >= this.asker.renewAtMs) this.asker.begin(nowMs);
  }
}

/** Where a label lies among the first words of a datagram. */
export function labelHighAt(view: DataView, start: number): number {
  return view.getUint32(start) & 0xffffff;
}

export function labelLowAt(view: DataView, start: number): number {
  return view.getUint32(start + LABEL_AT + 3);
}
