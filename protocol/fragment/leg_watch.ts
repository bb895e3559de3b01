/**
 * Watches over the legs that fragments leave by: which of them answer, which are late, and whether the peer is there.
 *
 * A leg that owes an answer is judged only while the peer is heard, since otherwise every leg would be to blame when it is
 * the peer that has stopped. Then all of them are probed, less and less often.
 */

import type { OutgoingBlocks } from "./outgoing_blocks.ts";
import type { SendLeg } from "./send_leg.ts";
import type { ShardScheduler } from "./shard_scheduler.ts";

const MAX_PROBE_INTERVAL_MS = 500;
/** Blocks of which another shard goes out when nothing at all is heard. */
const NUDGED_BLOCKS = 2;
/** A leg is late when its round trip is that much longer than the shortest. */
const LATE_FACTOR = 4;
const LATE_MS = 50;
const ASK_LATE_MS = 500;

export interface LegWatchOptions {
  readonly legs: ReadonlyMap<number, SendLeg>;
  readonly blocks: OutgoingBlocks;
  readonly scheduler: ShardScheduler;
  onWants(leg: number): void;
}

export class LegWatch {
  readonly #legs: ReadonlyMap<number, SendLeg>;
  readonly #blocks: OutgoingBlocks;
  readonly #scheduler: ShardScheduler;
  readonly #onWants: (leg: number) => void;
  #ackedAtMs = -Infinity;
  #probedAtMs = -Infinity;
  #probeIntervalMs = 0;

  constructor({ legs, blocks, scheduler, onWants }: LegWatchOptions) {
    this.#legs = legs;
    this.#blocks = blocks;
    this.#scheduler = scheduler;
    this.#onWants = onWants;
  }

  /** The peer is heard. */
  onAck(nowMs: number): void {
    this.#ackedAtMs = nowMs;
    this.#probeIntervalMs = 0;
  }

  /** When to `check` at the latest; Infinity for never, as things stand. */
  get dueAtMs(): number {
    let dueMs = this.#stuckAtMs;
    for (const leg of this.#legs.values()) {
      const overdueMs = Math.max(leg.overdueAtMs, this.#probedAtMs + this.#probeIntervalMs);
      dueMs = Math.min(dueMs, overdueMs, leg.probeAtMs, leg.settleAtMs);
    }
    return dueMs;
  }

  /**
   * Finds legs that do not answer. One is suspect when the peer has been heard since; otherwise it may be the
   * peer. True when something in flight must be thought lost.
   */
  check(nowMs: number): boolean {
    let isPeerSilent = false;
    let isAnyLost = false;
    for (const leg of this.#legs.values()) {
      if (nowMs >= leg.probeAtMs) {
        leg.probe(nowMs);
        this.#onWants(leg.leg);
      }
      if (nowMs >= leg.settleAtMs) {
        leg.settle(nowMs);
        isAnyLost = true;
      }
      if (nowMs < leg.overdueAtMs) continue;
      if (this.#ackedAtMs <= leg.waitsSinceMs + (leg.congestion.rttMs ?? 0)) {
        isPeerSilent = true;
        continue;
      }
      leg.suspect(nowMs, this.#areOthersUp(leg));
      this.#onWants(leg.leg);
      isAnyLost = true;
    }
    if (nowMs >= this.#stuckAtMs) isPeerSilent = true;
    if (isPeerSilent && nowMs >= this.#probedAtMs + this.#probeIntervalMs) this.#probe(nowMs);
    return isAnyLost;
  }

  #areOthersUp(leg: SendLeg): boolean {
    for (const other of this.#legs.values()) if (other !== leg && other.state !== "up") return false;
    return this.#legs.size > 1;
  }

  /** When blocks that are not acknowledged, though nothing is on its way, are to be asked about; Infinity for never. */
  get #stuckAtMs(): number {
    if (this.#blocks.first === this.#blocks.next || this.#scheduler.hasRepairs) return Infinity;
    let rtoMs = Infinity;
    for (const leg of this.#legs.values()) {
      if (leg.waitsSinceMs !== Infinity) return Infinity; // the leg's own time will come
      if (leg.state === "up") rtoMs = Math.min(rtoMs, leg.congestion.rtoMs);
    }
    return Math.max(this.#ackedAtMs, this.#probedAtMs) + rtoMs;
  }

  /** Nothing is heard on any leg: asks on all of them, and sends again what the peer may be waiting for. */
  #probe(nowMs: number): void {
    this.#probedAtMs = nowMs;
    this.#probeIntervalMs = Math.min(MAX_PROBE_INTERVAL_MS, this.#probeIntervalMs * 2 || this.#shortestRtoMs());
    this.#scheduler.nudge(NUDGED_BLOCKS);
    for (const leg of this.#legs.values()) {
      if (leg.state !== "up") continue;
      leg.owesPing = true;
      this.#onWants(leg.leg);
    }
  }

  #shortestRtoMs(): number {
    let rtoMs = MAX_PROBE_INTERVAL_MS;
    for (const leg of this.#legs.values()) rtoMs = Math.min(rtoMs, leg.congestion.rtoMs);
    return rtoMs;
  }

  /** Late legs are asked now and then, to see whether they still are. */
  findLate(nowMs: number): void {
    let shortestMs = Infinity;
    for (const { state, congestion } of this.#legs.values()) {
      if (state === "up") shortestMs = Math.min(shortestMs, congestion.rttMs ?? Infinity);
    }
    if (shortestMs === Infinity) return;
    let longestMs = shortestMs;
    for (const leg of this.#legs.values()) {
      if (leg.state !== "up") continue;
      const rttMs = leg.congestion.rttMs ?? shortestMs;
      leg.isLate = rttMs > LATE_FACTOR * shortestMs + LATE_MS;
      if (!leg.isLate) longestMs = Math.max(longestMs, rttMs);
      else this.#askLate(leg, nowMs);
    }
    this.#scheduler.setRtts(shortestMs, longestMs);
  }

  #askLate(leg: SendLeg, nowMs: number): void {
    if (nowMs - leg.askedAtMs < ASK_LATE_MS) return;
    leg.owesPing = true;
    this.#onWants(leg.leg);
  }
}
