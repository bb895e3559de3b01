/**
 * Who may have a link to a relay where peers meet, asked in the order of what it costs: the path, the address, the signature
 * (`circuit/link_auth.ts`), whether there is room.
 */

import type { Clock } from "../../protocol/clock.ts";
import type { ClosedNetwork } from "../../protocol/control/auth.ts";
import { GUEST_PATH, HOST_PATH, MEETING_ROLE } from "../../protocol/peers/meeting.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import { LinkGuard } from "../circuit/link_auth.ts";
import { placeAt, type PlaceLimitOptions, PlaceLimits } from "../circuit/place_limits.ts";
import type { WebsocketCall } from "../web_port.ts";

export interface MeetingDoorLimits extends PlaceLimitOptions {
  /** Links at once. Default 4,096. */
  readonly maxLinks?: number;
  /** Of one peer. Default 8. */
  readonly maxLinksPerPeer?: number;
  /** Peer ids that are turned away. */
  isBlocked?(peerId: string): boolean;
}

/** A peer with a link, and whether others may be brought to it there. */
export interface MeetingPeer {
  readonly peerId: string;
  readonly isHost: boolean;
  /** What counts as its address. */
  readonly place: string;
}

export interface MeetingDoorOptions {
  /** The relay's own peer id. */
  readonly relayId: string;
  /** A closed network; without it any identity may have a link. */
  readonly network?: ClosedNetwork | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly primitives: Primitives;
  readonly limits?: MeetingDoorLimits | undefined;
}

interface Refusal {
  readonly ok: false;
  readonly status: 401 | 403 | 404 | 429 | 503;
  readonly reason: string;
}

export type MeetingVerdict = { readonly ok: true; readonly peer: MeetingPeer } | Refusal;

/** Whether it is a request for a link of peers. */
export function isMeetingPath(path: string): boolean {
  return path.endsWith(GUEST_PATH) || path.endsWith(HOST_PATH);
}

export class MeetingDoor {
  readonly #options: MeetingDoorOptions;
  readonly #guard: LinkGuard<typeof MEETING_ROLE>;
  readonly #places: PlaceLimits;
  readonly #ofPeer = new Map<string, number>();
  #count = 0;

  constructor(options: MeetingDoorOptions) {
    this.#options = options;
    const { relayId: recipient, network, clock, primitives, random, limits } = options;
    this.#guard = new LinkGuard({ recipient, roles: [MEETING_ROLE], network, clock, primitives });
    this.#places = new PlaceLimits(random, limits);
  }

  /** Links that are up. */
  get count(): number {
    return this.#count;
  }

  admit(call: Pick<WebsocketCall, "path" | "remoteAddress" | "request">): MeetingVerdict {
    const { clock, limits } = this.#options;
    const request = isMeetingPath(call.path) ? call.request() : undefined;
    if (!request) return refused(404, "not_a_link");
    const place = placeAt(call.remoteAddress);
    const crowd = this.#places.refusalOf(place, clock.now());
    if (crowd) return refused(429, crowd);
    const verdict = this.#guard.verify(request);
    if (!verdict.ok) return verdict;
    const { peerId } = verdict;
    if (limits?.isBlocked?.(peerId)) return refused(403, "blocked");
    return this.#lackOfRoom(peerId) ?? { ok: true, peer: { peerId, isHost: call.path.endsWith(HOST_PATH), place } };
  }

  /** The link of one that was admitted is up, and counts until the result is disposed of; undefined when there is no room. */
  enter({ peerId, place }: MeetingPeer): Disposable | undefined {
    const entered = this.#lackOfRoom(peerId) ? undefined : this.#places.enter(place);
    if (!entered) return undefined;
    this.#countOf(peerId, 1);
    return {
      [Symbol.dispose]: () => {
        entered[Symbol.dispose]();
        this.#countOf(peerId, -1);
      },
    };
  }

  #lackOfRoom(peerId: string): Refusal | undefined {
    const { maxLinks = 4096, maxLinksPerPeer = 8 } = this.#options.limits ?? {};
    if (this.#count >= maxLinks) return refused(503, "links");
    return (this.#ofPeer.get(peerId) ?? 0) >= maxLinksPerPeer ? refused(429, "links_of_peer") : undefined;
  }

  #countOf(peerId: string, change: 1 | -1): void {
    this.#count += change;
    const there = (this.#ofPeer.get(peerId) ?? 0) + change;
    if (there > 0) this.#ofPeer.set(peerId, there);
    else this.#ofPeer.delete(peerId);
  }
}

function refused(status: Refusal["status"], reason: string): Refusal {
  return { ok: false, status, reason };
}
