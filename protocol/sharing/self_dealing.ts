/**
 * Owners who buy their own traffic: to launder stolen cards into payouts, or to look busy. Paid bytes are counted by owner
 * for a day, and those that look like the owner's own apart:
 *
 *   the client is the owner · has the owner's Telegram account · connects from the node's own network (v4 /24, v6 /48)
 *
 * When these are much, and most, of what the owner's nodes carried, payouts are held until a person has looked. Nothing is
 * taken away and no node is stopped: one may try one's own node.
 */

import { parseIp } from "../ip.ts";
import { classify } from "../ip_class.ts";

export interface PaidTraffic {
  readonly userId: string;
  readonly ownerId: string;
  readonly userTelegramId?: string | undefined;
  readonly ownerTelegramId?: string | undefined;
  /** Where the client connects from, and where the node's tunnels do. */
  readonly clientAddress: string;
  readonly nodeAddress: string;
  readonly bytes: number;
}

export interface Suspicion {
  readonly ownerId: string;
  /** A sentence for admins and the owner. */
  readonly reason: string;
}

const WINDOW_MS = 86_400_000;
/** Less is trying out. */
const MUCH_BYTES = 256 * 1024 * 1024;
const MOST = 0.5;
/** Owners whose bytes are counted at once; beyond that the one that was quiet for longest is forgotten. */
const MAX_OWNERS = 100_000;

interface Tally {
  sinceMs: number;
  allBytes: number;
  ownBytes: number;
  isTold: boolean;
}

export class SelfDealing {
  readonly #owners = new Map<string, Tally>();

  /** Counts; gives a suspicion once a window when there is one. */
  note(traffic: PaidTraffic, nowMs: number): Suspicion | undefined {
    const tally = this.#tallyOf(traffic.ownerId, nowMs);
    tally.allBytes += traffic.bytes;
    const link = linkOf(traffic);
    if (link === undefined) return undefined;
    tally.ownBytes += traffic.bytes;
    if (tally.isTold || tally.ownBytes < MUCH_BYTES || tally.ownBytes < MOST * tally.allBytes) return undefined;
    tally.isTold = true;
    const mib = Math.round(tally.ownBytes / 1024 ** 2);
    const percent = Math.round(100 * tally.ownBytes / tally.allBytes);
    const reason = `${mib} MiB, ${percent} % of a day's paid traffic, look like the owner's own: ${link}`;
    return { ownerId: traffic.ownerId, reason };
  }

  #tallyOf(ownerId: string, nowMs: number): Tally {
    const known = this.#owners.get(ownerId);
    const isCurrent = known && nowMs - known.sinceMs < WINDOW_MS;
    const tally = isCurrent ? known : { sinceMs: nowMs, allBytes: 0, ownBytes: 0, isTold: false };
    this.#owners.delete(ownerId); // so that the first is the one that was quiet for longest
    this.#owners.set(ownerId, tally);
    if (this.#owners.size > MAX_OWNERS) this.#owners.delete(this.#owners.keys().next().value!);
    return tally;
  }
}

/** What ties the client to the owner; undefined for nothing. */
function linkOf(traffic: PaidTraffic): string | undefined {
  if (traffic.userId === traffic.ownerId) return "the client is the owner";
  const { userTelegramId, ownerTelegramId } = traffic;
  if (userTelegramId !== undefined && userTelegramId === ownerTelegramId) return "both have one Telegram account";
  const network = networkOf(traffic.clientAddress);
  if (network !== undefined && network === networkOf(traffic.nodeAddress)) return "client and node are in one network";
  return undefined;
}

/** The /24 of an IPv4 address, the /48 of an IPv6 address. Of private networks there are many with the same addresses. */
function networkOf(address: string): string | undefined {
  const ip = parseIp(address);
  if (!ip || classify(ip) !== "public") return undefined;
  return String.fromCharCode(...ip.length === 4 ? ip.subarray(0, 3) : ip.subarray(0, 6));
}
