/**
 * Which shard goes by which leg. It is decided when a leg asks, not before, so that nothing waits in front of a slow leg.
 *
 *   leg asks → repairs first → the next block of which it carries too few → a new block → a shard nobody else takes
 *
 * Every leg goes through the blocks in order, each block it comes to gives it the next shard, and the one that is first
 * cuts new blocks; so with more legs than shards whole batches go by different legs. Legs that do not ask are left behind:
 * the others take the data shards, and parity that would come too late to be of use is left out. No leg gets more shards
 * of a block than its share while others could carry them, or one leg's failure would cost too many at once. A leg that is
 * late gets parity only.
 */

import { Fifo } from "../fifo.ts";
import { countBits, type OutgoingBlock, type OutgoingBlocks } from "./outgoing_blocks.ts";
import type { SendLeg } from "./send_leg.ts";

/** New blocks wait when there are so many whose data shards have not all found a leg. */
const MAX_LEAD_BLOCKS = 16;
/** A block whose other legs have not asked for so long goes by the one that asks. */
const PATIENCE_MS = 10;

export interface ShardChoice {
  readonly block: OutgoingBlock;
  readonly index: number;
  readonly isRepair: boolean;
}

export class ShardScheduler {
  readonly #blocks: OutgoingBlocks;
  readonly #legs: ReadonlyMap<number, SendLeg>;
  readonly #repairs = new Fifo<OutgoingBlock>();
  #firstOpen = 0;
  /** How old a block may be for its parity to be worth sending. */
  #parityMs = PATIENCE_MS;
  /** How old a block may be while later ones have come already. */
  #rescueMs = Infinity;

  constructor(blocks: OutgoingBlocks, legs: ReadonlyMap<number, SendLeg>) {
    this.#blocks = blocks;
    this.#legs = legs;
  }

  /** Whether there may be a shard for some leg. */
  get mayChoose(): boolean {
    return this.#repairs.length > 0 || this.#blocks.mayCut || this.#openBlock() !== undefined;
  }

  /** Something is to be sent again. */
  get hasRepairs(): boolean {
    return this.#repairs.length > 0;
  }

  /** When a block will have waited long enough for its share of legs to be exceeded; Infinity when none waits. */
  get impatientAtMs(): number {
    return (this.#openBlock()?.cutAtMs ?? Infinity) + PATIENCE_MS;
  }

  /** The round trips of legs that are not late: before the shortest is over, a block may still need its parity. */
  setRtts(shortestMs: number, longestMs: number): void {
    this.#parityMs = PATIENCE_MS + shortestMs;
    this.#rescueMs = 2 * PATIENCE_MS + 1.5 * longestMs;
  }

  /** What that leg should carry next; nothing has changed before `take`. */
  choose(leg: SendLeg, nowMs: number): ShardChoice | undefined {
    const repair = leg.isLate || !leg.mayRepair ? undefined : this.#chooseRepair();
    return repair ?? (leg.hasRoom ? this.#chooseNew(leg, nowMs) : undefined);
  }

  /** It goes out by that leg, in the fragment that is sealed next. */
  take({ block, index, isRepair }: ShardChoice, leg: SendLeg, nowMs: number): void {
    block.onSent(index, leg, leg.sealer.nextNumber, nowMs);
    if (!isRepair) return;
    block.isNudged = false;
    if (--block.wantedRepairs <= 0) this.#repairs.shift();
  }

  /** Queues what must be sent again, of blocks before `end`. */
  findLosses(end: number): void {
    for (let number = this.#blocks.first; number < Math.min(end, this.#blocks.next); number++) {
      const block = this.#blocks.get(number)!;
      if (block.isAcked || block.sentMask === 0) continue;
      const unsent = Math.max(0, block.dataShards - countBits(block.sentMask));
      this.#want(block, block.missingShards - unsent);
    }
  }

  /** Nothing is heard: another shard of the first blocks, whatever is on its way. */
  nudge(count: number): void {
    let left = count;
    for (let number = this.#blocks.first; number < this.#blocks.next && left > 0; number++) {
      const block = this.#blocks.get(number)!;
      if (block.isAcked || block.isOpen) continue;
      block.isNudged = true;
      this.#want(block, 1);
      left--;
    }
  }

  /** Later blocks have come: the first go by other legs as well than those that hold them back, each once. */
  rescue(nowMs: number): void {
    const end = Math.min(this.#blocks.next, this.#blocks.first + MAX_LEAD_BLOCKS);
    for (let number = this.#blocks.first; number < end; number++) {
      const block = this.#blocks.get(number)!;
      if (block.isAcked || block.isOpen || block.isRescued || nowMs - block.sentAtMs < this.#rescueMs) continue;
      block.isRescued = block.isNudged = true;
      this.#want(block, 1);
    }
  }

  clear(): void {
    while (this.#repairs.length > 0) this.#repairs.shift();
  }

  #want(block: OutgoingBlock, count: number): void {
    if (count <= block.wantedRepairs) return;
    if (block.wantedRepairs === 0) this.#repairs.push(block);
    block.wantedRepairs = count;
  }

  #chooseRepair(): ShardChoice | undefined {
    for (let block = this.#repairs.first; block; block = this.#repairs.first) {
      const index = this.#repairIndex(block);
      if (index >= 0) return { block, index, isRepair: true };
      block.wantedRepairs = 0;
      this.#repairs.shift();
    }
    return undefined;
  }

  #repairIndex(block: OutgoingBlock): number {
    if (block.isAcked) return -1;
    if (block.isNudged) return Math.max(block.repairIndex(), block.unansweredIndex());
    return block.missingShards > 0 ? block.repairIndex() : -1;
  }

  #chooseNew(leg: SendLeg, nowMs: number): ShardChoice | undefined {
    if (leg.cursor < this.#blocks.first) leg.cursor = this.#blocks.first;
    for (;; leg.cursor++) {
      const block = leg.cursor < this.#blocks.next ? this.#blocks.get(leg.cursor) : this.#cut(leg, nowMs);
      if (!block) return leg.isLate ? undefined : this.#chooseForsaken(leg, nowMs);
      const index = this.#shardFor(leg, block, nowMs);
      if (index >= 0) return { block, index, isRepair: false };
    }
  }

  #cut(leg: SendLeg, nowMs: number): OutgoingBlock | undefined {
    this.#openBlock();
    if (leg.isLate || this.#blocks.next - this.#firstOpen >= MAX_LEAD_BLOCKS) return undefined;
    return this.#blocks.cut(nowMs);
  }

  #shardFor(leg: SendLeg, block: OutgoingBlock, nowMs: number): number {
    if (block.isAcked || block.countOn(leg) >= this.#shareOf(block)) return -1;
    const index = block.nextUnsent;
    if (index < block.dataShards) return leg.isLate ? -1 : index;
    return nowMs - block.cutAtMs > this.#parityMs ? -1 : index;
  }

  #shareOf(block: OutgoingBlock): number {
    return Math.ceil(block.totalShards / this.#legs.size);
  }

  /** A data shard beyond the leg's share, of a block that no other leg takes. */
  #chooseForsaken(leg: SendLeg, nowMs: number): ShardChoice | undefined {
    const block = this.#openBlock();
    if (!block) return undefined;
    if (nowMs - block.cutAtMs < PATIENCE_MS && this.#hasOther(leg, block)) return undefined;
    return { block, index: block.nextUnsent, isRepair: false };
  }

  #hasOther(leg: SendLeg, block: OutgoingBlock): boolean {
    for (const other of this.#legs.values()) {
      if (other !== leg && other.state === "up" && !other.isLate && block.countOn(other) < this.#shareOf(block)) {
        return true;
      }
    }
    return false;
  }

  /** The first block whose data shards have not all found a leg. */
  #openBlock(): OutgoingBlock | undefined {
    if (this.#firstOpen < this.#blocks.first) this.#firstOpen = this.#blocks.first;
    for (; this.#firstOpen < this.#blocks.next; this.#firstOpen++) {
      const block = this.#blocks.get(this.#firstOpen)!;
      if (!block.isAcked && block.isOpen) return block;
    }
    return undefined;
  }
}
