/**
 * Who may have a link to a relay, asked in the order of what it costs:
 *
 *   the path → room for one more from that address, and not too many of late → the signature (`link_auth.ts`) → not blocked
 *     → room for one more here, and of that peer → a relay is in the directory; a gateway has shown its keys, and others
 *       can be told of it
 *
 * A relay that nobody here has heard of yet may be new: the directory is asked once more.
 */

import type { Clock } from "../../protocol/clock.ts";
import { BurstTable, type BurstTableOptions } from "../../protocol/control/burst_table.ts";
import type { Random } from "../../protocol/random.ts";
import { placeOf } from "../../protocol/control/auth_limits.ts";
import { MAX_RELAY_GATEWAYS, type RelayRecord } from "../../protocol/directory.ts";
import { parseIp } from "../../protocol/ip.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { WebsocketCall } from "../web_port.ts";
import { readGatewayKeys } from "./gateway_keys.ts";
import { CIRCUIT_LINK_PATH, type LinkGuard } from "./link_auth.ts";
import type { LinkPeer, RelayLinks } from "./relay_links.ts";

/** What a relay has to know of others; `RelayDirectory` does. */
export interface RelayLookup {
  find(kind: "relay", relayId: string): RelayRecord | undefined;
  refresh(signal?: AbortSignal): Promise<void>;
}

export interface LinkDoorLimits {
  /** Links of clients, and of relays and gateways, at once. Default 4,096 and 1,024. */
  readonly maxClientLinks?: number;
  readonly maxHopLinks?: number;
  /** Links from one address, an IPv6 /64 counting as one. Default 256. */
  readonly maxLinksPerAddress?: number;
  /** Requests for links from one address. Default 50 a second, 500 at once: each costs a signature to check. */
  readonly addressRequests?: BurstTableOptions;
  /** Links of one peer in one role. Default 4. */
  readonly maxLinksPerPeer?: number;
}

export interface LinkDoorOptions {
  readonly guard: Pick<LinkGuard, "verify">;
  readonly links: Pick<RelayLinks, "count" | "countOf" | "of">;
  readonly directory: RelayLookup;
  readonly primitives: Primitives;
  readonly clock: Clock;
  readonly random: Random;
  isBlocked(peerId: string): boolean;
  readonly limits?: LinkDoorLimits | undefined;
}

interface Refusal {
  readonly ok: false;
  readonly status: 401 | 403 | 404 | 429 | 503;
  readonly reason: string;
}

export type DoorVerdict = { readonly ok: true; readonly peer: LinkPeer } | Refusal;

const DEFAULT_REQUESTS: BurstTableOptions = { perSecond: 50, burst: 500 };

export class LinkDoor {
  readonly #options: LinkDoorOptions;
  readonly #ofAddress = new Map<string, number>();
  readonly #requests: BurstTable;

  constructor(options: LinkDoorOptions) {
    this.#options = options;
    this.#requests = new BurstTable(options.random, options.limits?.addressRequests ?? DEFAULT_REQUESTS);
  }

  /** Whether whoever calls may have a link; `enter` is to follow once it is up. */
  async admit(call: Pick<WebsocketCall, "path" | "remoteAddress" | "request">): Promise<DoorVerdict> {
    const { guard, clock, isBlocked } = this.#options;
    const request = call.path.endsWith(CIRCUIT_LINK_PATH) ? call.request() : undefined;
    if (!request) return refused(404, "not_a_link");
    const place = placeAt(call.remoteAddress);
    if (this.#isCrowded(place)) return refused(429, "links_of_address");
    if (this.#requests.take(place, clock.now()) > 0) return refused(429, "requests_of_address");
    const verdict = guard.verify(request);
    if (!verdict.ok) return verdict;
    const { peerId, role } = verdict;
    if (isBlocked(peerId)) return refused(403, "blocked");
    const peer = { peerId, role, place };
    return this.#lackOfRoom(peer) ?? await this.#admitAs(peer, request);
  }

  /**
   * The link of one that was admitted is up, and has a place until the result is disposed of; undefined when others, who
   * were admitted at the same time, have the last.
   */
  enter(peer: LinkPeer): Disposable | undefined {
    const { place = peer.peerId } = peer;
    if (this.#isCrowded(place) || this.#lackOfRoom(peer)) return undefined;
    this.#countAt(place, 1);
    return { [Symbol.dispose]: () => this.#countAt(place, -1) };
  }

  #countAt(place: string, change: 1 | -1): void {
    const there = (this.#ofAddress.get(place) ?? 0) + change;
    if (there > 0) this.#ofAddress.set(place, there);
    else this.#ofAddress.delete(place);
  }

  #isCrowded(place: string): boolean {
    return (this.#ofAddress.get(place) ?? 0) >= (this.#options.limits?.maxLinksPerAddress ?? 256);
  }

  #lackOfRoom({ peerId, role }: LinkPeer): Refusal | undefined {
    const { links, limits } = this.#options;
    const isFull = role === "client"
      ? links.count("client") >= (limits?.maxClientLinks ?? 4096)
      : links.count("relay") + links.count("gateway") >= (limits?.maxHopLinks ?? 1024);
    if (isFull) return refused(503, "links");
    if (links.countOf({ peerId, role }) >= (limits?.maxLinksPerPeer ?? 4)) return refused(429, "links_of_peer");
    if (role !== "gateway") return undefined;
    // Those that are here stay the ones that others are told of, however many strangers come.
    const gateways = new Set(Array.from(links.of("gateway"), (link) => link.peerId));
    return !gateways.has(peerId) && gateways.size >= MAX_RELAY_GATEWAYS ? refused(503, "gateways") : undefined;
  }

  async #admitAs(peer: LinkPeer, request: Request): Promise<DoorVerdict> {
    const { directory, primitives } = this.#options;
    if (peer.role === "gateway") {
      const gateway = readGatewayKeys(peer.peerId, request.headers, primitives);
      return gateway ? { ok: true, peer: { ...peer, gateway } } : refused(403, "gateway_keys");
    }
    if (peer.role === "relay" && !directory.find("relay", peer.peerId)) {
      await directory.refresh().catch(() => {}); // what it knew stays
      if (!directory.find("relay", peer.peerId)) return refused(503, "unknown_relay");
    }
    return { ok: true, peer };
  }
}

function refused(status: Refusal["status"], reason: string): Refusal {
  return { ok: false, status, reason };
}

/** What counts as one address. */
function placeAt(remoteAddress: string): string {
  const address = parseIp(remoteAddress);
  return address ? placeOf(address) : remoteAddress;
}
