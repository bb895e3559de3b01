/**
 * How often one may try to open a control stream: per address, before anything is looked at, and per peer id, once the
 * signature and the nonce have shown that it is that peer, now. In this order, since a stranger who could use up the
 * tries of a peer id by naming it, or by replaying what it said, would keep that peer out. An IPv6 address counts by its
 * /64: who has one of them has them all. Design §4.
 */

import { encodeBase32 } from "../encoding.ts";
import { type IpAddress, isV4Mapped } from "../ip.ts";
import type { Random } from "../random.ts";
import { BurstTable, type BurstTableOptions } from "./burst_table.ts";

export interface AuthLimitOptions {
  /** Default 20 a second, 200 at once: many peers may be behind one NAT. */
  readonly address?: BurstTableOptions;
  /** Default one in 2 s, 8 at once: a peer reconnects with backoff. */
  readonly peer?: BurstTableOptions;
}

const DEFAULT_ADDRESS_LIMIT: BurstTableOptions = { perSecond: 20, burst: 200 };
const DEFAULT_PEER_LIMIT: BurstTableOptions = { perSecond: 0.5, burst: 8 };

export class AuthLimits {
  readonly #addresses: BurstTable;
  readonly #peers: BurstTable;

  constructor(random: Random, options: AuthLimitOptions = {}) {
    this.#addresses = new BurstTable(random, options.address ?? DEFAULT_ADDRESS_LIMIT);
    this.#peers = new BurstTable(random, options.peer ?? DEFAULT_PEER_LIMIT);
  }

  /** Counts a try from there and gives 0, or gives the milliseconds to wait for the next. */
  takeAddress(address: IpAddress, nowMs: number): number {
    return this.#addresses.take(placeOf(address), nowMs);
  }

  /** Counts a try of that peer and gives 0, or gives the milliseconds to wait for the next. */
  takePeer(peerId: string, nowMs: number): number {
    return this.#peers.take(peerId, nowMs);
  }
}

/** The four bytes of an IPv4 address, mapped or not, or the upper eight of an IPv6 address, as text of that length. */
export function placeOf(address: IpAddress): string {
  const bytes = isV4Mapped(address) ? address.subarray(12) : address.subarray(0, 8);
  return String.fromCharCode(...bytes);
}

/** The same in letters and digits, for keys that people may see. */
export function placeName(address: IpAddress): string {
  return encodeBase32(Uint8Array.from(placeOf(address), (each) => each.charCodeAt(0)));
}
