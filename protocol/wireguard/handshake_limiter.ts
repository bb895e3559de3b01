/**
 * How many handshakes one place may ask for: 20 a second, 5 at once, counted per IPv4 address or IPv6 /64 (whoever has
 * one address of a /64 has all of them). To be asked only once a cookie has proven that the address is real; `handshake_gate.ts`
 * sees to it.
 *
 * The table has a fixed size. An entry says when its place is back to its full burst; from then on it means nothing and
 * its slot is free, so there is nothing to clean up. A place has a few slots it may be in, chosen by a secret hash; when
 * others hold them all it is refused. Nothing is allocated per call.
 */

import type { IpAddress } from "../ip.ts";
import { type Random, randomInt } from "../random.ts";

export const HANDSHAKES_PER_SECOND = 20;
export const HANDSHAKE_BURST = 5;
const COST_MS = 1000 / HANDSHAKES_PER_SECOND;

const SLOTS = 8192;
const SLOTS_PER_PLACE = 8;
/** Tells an IPv4 address from the /64 whose upper half is the same. */
const IPV4_MARK = 0xffffffff;

export class HandshakeLimiter {
  readonly #high = new Uint32Array(SLOTS);
  readonly #low = new Uint32Array(SLOTS);
  readonly #fullAtMs = new Float64Array(SLOTS).fill(-Infinity);
  readonly #secrets: readonly [number, number, number];

  constructor(random: Random) {
    this.#secrets = [randomInt(random, 2 ** 32), randomInt(random, 2 ** 32), randomInt(random, 2 ** 32)];
  }

  /** Whether a handshake from there may go on now; if so it is counted. `nowMs` never goes back. */
  allow(address: IpAddress, nowMs: number): boolean {
    const high = word(address, 0);
    const low = address.length === 4 ? IPV4_MARK : word(address, 4);
    const slot = this.#slotOf(high, low, nowMs);
    if (slot < 0) return false;
    const fullAtMs = Math.max(this.#fullAtMs[slot]!, nowMs) + COST_MS;
    if (fullAtMs - nowMs > HANDSHAKE_BURST * COST_MS) return false;
    this.#high[slot] = high;
    this.#low[slot] = low;
    this.#fullAtMs[slot] = fullAtMs;
    return true;
  }

  /** The slot of that place, or one it may take, or -1. */
  #slotOf(high: number, low: number, nowMs: number): number {
    const first = this.#hash(high, low) & (SLOTS - SLOTS_PER_PLACE);
    let free = -1;
    for (let slot = first; slot < first + SLOTS_PER_PLACE; slot++) {
      if (this.#fullAtMs[slot]! <= nowMs) free = slot;
      else if (this.#high[slot] === high && this.#low[slot] === low) return slot;
    }
    return free;
  }

  #hash(high: number, low: number): number {
    const [one, two, three] = this.#secrets;
    let hash = Math.imul(high ^ one, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15) ^ low ^ two, 0xc2b2ae35);
    hash = Math.imul(hash ^ (hash >>> 13) ^ three, 0x27d4eb2f);
    return (hash ^ (hash >>> 16)) >>> 0;
  }
}

function word(address: IpAddress, at: number): number {
  return (address[at]! << 24 | address[at + 1]! << 16 | address[at + 2]! << 8 | address[at + 3]!) >>> 0;
}
