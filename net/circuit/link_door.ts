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
import type { Random } from "../../protocol/random.ts";
import { MAX_RELAY_GATEWAYS, type RelayRecord } from "../../protocol/directory.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { WebsocketCall } from "../web_port.ts";
import { readGatewayKeys } from "./gateway_keys.ts";
import { CIRCUIT_LINK_PATH, type LinkGuard, type LinkRole } from "./link_auth.ts";
import { placeAt, type PlaceLimitOptions, PlaceLimits } from "./place_limits.ts";
import type { LinkPeer, RelayLinks } from "./relay_links.ts";

/** What a relay has to know of others; `RelayDirectory` does. */
export interface RelayLookup {
  find(kind: "relay", relayId: string): RelayRecord | undefined;
  refresh(signal?: AbortSignal): Promise<void>;
}

export interface LinkDoorLimits extends PlaceLimitOptions {
  /** Links of clients, and of relays and gateways, at once. Default 4,096 and 1,024. */
  readonly maxClientLinks?: number;
  readonly maxHopLinks?: number;
  /** Links of one peer in one role. Default 4. */
  readonly maxLinksPerPeer?: number;
}

export interface LinkDoorOptions {
  readonly guard: Pick<LinkGuard<LinkRole>, "verify">;
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

export class LinkDoor {
  readonly #options: LinkDoorOptions;
  readonly #places: PlaceLimits;

  constructor(options: LinkDoorOptions) {
    this.#options = options;
    this.#places = new PlaceLimits(options.random, options.limits);
  }

  /** Whether whoever calls may have a link; `enter` is to follow once it is up. */
  async admit(call: Pick<WebsocketCall, "path" | "remoteAddress" | "request">): Promise<DoorVerdict> {
    const { guard, clock, isBlocked } = this.#options;
    const request = call.path.endsWith(CIRCUIT_LINK_PATH) ? call.request() : undefined;
    if (!request) return refused(404, "not_a_link");
    const place = placeAt(call.remoteAddress);
    const crowd = this.#places.refusalOf(place, clock.now());
    if (crowd) return refused(429, crowd);
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
    return this.#lackOfRoom(peer) ? undefined : this.#places.enter(peer.place ?? peer.peerId);
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
