/**
 * What both sides of a session hold: the keys of its last hellos. It is the `PacketSeal` of whatever the session carries.
 *
 *   install(epoch) → sends under it from now on; what was sent under the one before is still taken for a while
 *
 * Packets are opened by whoever found out whose they are (`client.ts`, `server.ts`), so that `open` has nothing left to do.
 */

import type { PacketSeal } from "../packet_seal.ts";
import type { Slab } from "../slab.ts";
import { PACKET_HEAD_BYTES, PACKET_TAIL_BYTES, type PacketEpoch } from "./packet_epoch.ts";

/** How long packets under the keys before the last may still come. */
export const RETIRE_MS = 30_000;

export class SessionKeys implements PacketSeal, Disposable {
  readonly headBytes: number = PACKET_HEAD_BYTES;
  readonly tailBytes: number = PACKET_TAIL_BYTES;
  #current: PacketEpoch;
  #previous: PacketEpoch | undefined;
  #retireAtMs = Infinity;

  constructor(epoch: PacketEpoch) {
    this.#current = epoch;
  }

  /** What is sent is sealed under this. */
  get current(): PacketEpoch {
    return this.#current;
  }

  get previous(): PacketEpoch | undefined {
    return this.#previous;
  }

  /** Gives what is now too old and was disposed of. */
  install(epoch: PacketEpoch, nowMs: number): PacketEpoch | undefined {
    const old = this.#previous;
    old?.[Symbol.dispose]();
    this.#previous = this.#current;
    this.#current = epoch;
    this.#retireAtMs = nowMs + RETIRE_MS;
    return old;
  }

  /** Disposes of the keys before the last, when their time is over; gives them. */
  retire(nowMs: number): PacketEpoch | undefined {
    if (nowMs < this.#retireAtMs) return undefined;
    const old = this.#previous;
    old?.[Symbol.dispose]();
    this.#previous = undefined;
    this.#retireAtMs = Infinity;
    return old;
  }

  seal(slab: Slab, start: number, end: number): void {
    this.#current.seal(slab, start, end);
  }

  /** It was opened when it was found to be ours. */
  open(): boolean {
    return true;
  }

  [Symbol.dispose](): void {
    this.#current[Symbol.dispose]();
    this.#previous?.[Symbol.dispose]();
  }
}
