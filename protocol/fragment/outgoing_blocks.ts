/**
 * The blocks that were cut and are not acknowledged: their bytes, their shards, and who carries which.
 *
 *   fill → staged bytes → cut → block → shards on legs → acknowledged → memory back
 *
 * A block keeps its bytes until it is known to have come. What is kept is bounded, and so is what the peer has to keep.
 */

import { type BlockMemory, blockMemoryBytes } from "./block_memory.ts";
import { type BlockPlan, planBlock } from "./block_plan.ts";
import { MAX_BLOCK_NUMBER, MAX_SHARD_BYTES, shardBytesOf } from "./frames.ts";
import { MAX_SHARDS } from "./opening.ts";
import type { ReedSolomonFactory, ShardMemory } from "./reed_solomon.ts";
import type { SendLeg } from "./send_leg.ts";

/** As far as the newest block may be ahead of the first that is not acknowledged, at either end. */
export const MAX_BLOCKS_AHEAD = 1024;
/** What a peer may be taken to have room for until it says so. */
const FIRST_PEER_WINDOW_BYTES = 1024 * 1024;

export class OutgoingBlock {
  readonly number: number;
  readonly dataShards: number;
  readonly totalShards: number;
  readonly blockBytes: number;
  readonly shardBytes: number;
  readonly memory: ShardMemory;
  readonly cutAtMs: number;
  /** Bit masks of shards. */
  sentMask = 0;
  ackedMask = 0;
  isAcked = false;
  sentAtMs = 0;
  /** How many more shards are to be sent because others were lost. */
  wantedRepairs = 0;
  /** One more than seems needed is wanted. */
  isNudged = false;
  /** It was sent again because it held up all others. */
  isRescued = false;
  #isEncoded = false;
  readonly #carriers: (SendLeg | undefined)[];
  readonly #numbers: number[];

  constructor(number: number, plan: BlockPlan, rest: { totalShards: number; memory: ShardMemory; nowMs: number }) {
    this.number = number;
    this.dataShards = plan.dataShards;
    this.blockBytes = plan.blockBytes;
    this.shardBytes = shardBytesOf(plan.blockBytes, plan.dataShards);
    this.totalShards = rest.totalShards;
    this.memory = rest.memory;
    this.cutAtMs = rest.nowMs;
    this.#carriers = new Array(rest.totalShards).fill(undefined);
    this.#numbers = new Array(rest.totalShards).fill(0);
  }

  /** Shards that were never sent: the lowest of them, -1 when there is none. */
  get nextUnsent(): number {
    const index = lowestZero(this.sentMask);
    return index < this.totalShards ? index : -1;
  }

  /** Its data shards have not all been given to legs yet. */
  get isOpen(): boolean {
    return countBits(this.sentMask) < this.dataShards;
  }

  shard(index: number, reedSolomon: ReedSolomonFactory): Uint8Array {
    if (index >= this.dataShards && !this.#isEncoded) {
      reedSolomon.code(this.dataShards, this.totalShards).encode(this.memory, this.shardBytes);
      this.#isEncoded = true;
    }
    return this.memory.bytes.subarray(index * this.shardBytes, (index + 1) * this.shardBytes);
  }

  onSent(index: number, leg: SendLeg, fragmentNumber: number, nowMs: number): void {
    this.sentAtMs = nowMs;
    this.sentMask |= 1 << index;
    this.#carriers[index] = leg;
    this.#numbers[index] = fragmentNumber;
  }

  /** How many of its shards that leg carries. */
  countOn(leg: SendLeg): number {
    let count = 0;
    for (const carrier of this.#carriers) if (carrier === leg) count++;
    return count;
  }

  isLost(index: number): boolean {
    if ((this.sentMask & ~this.ackedMask & 1 << index) === 0) return false;
    return this.#carriers[index]!.hasLost(this.#numbers[index]!);
  }

  /** How many more shards must be sent so that enough come, if all that are on their way do. */
  get missingShards(): number {
    let count = this.dataShards;
    for (let index = 0; index < this.totalShards && count > 0; index++) {
      const bit = 1 << index;
      if (this.ackedMask & bit) count--;
      else if (this.sentMask & bit && !this.isLost(index)) count--;
    }
    return count;
  }

  /** What to send instead of what was lost: a shard that was never sent, or else one that was lost; -1 for none. */
  repairIndex(): number {
    const unsent = this.nextUnsent;
    if (unsent >= 0) return unsent;
    for (let index = 0; index < this.totalShards; index++) if (this.isLost(index)) return index;
    return -1;
  }

  /** One that is on its way still, for when nothing is heard at all; -1 when there is none. */
  unansweredIndex(): number {
    const index = lowestZero(this.ackedMask);
    return index < this.totalShards ? index : -1;
  }
}

export interface OutgoingOptions {
  readonly memory: BlockMemory;
  readonly sendBufferBytes: number;
  readonly dataShards: number;
  fill(into: Uint8Array): number;
}

export class OutgoingBlocks {
  readonly #options: OutgoingOptions;
  /** How many shards the next blocks get, for `dataShards` of data. */
  totalShards: number;
  #peerWindowBytes = FIRST_PEER_WINDOW_BYTES;
  readonly #blocks = new Map<number, OutgoingBlock>();
  #first = 0;
  #next = 0;
  #heldBytes = 0;
  /** What the peer may have to keep of all blocks from the first on. */
  #peerHeldBytes = 0;
  #staged: ShardMemory | undefined;
  #stagedStart = 0;
  #stagedEnd = 0;
  #mayFill = true;

  constructor(options: OutgoingOptions, totalShards: number) {
    this.#options = options;
    this.totalShards = totalShards;
  }

  /** The first block that is not acknowledged along with all before it, and the next to be cut. */
  get first(): number {
    return this.#first;
  }

  get next(): number {
    return this.#next;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  get isExhausted(): boolean {
    return this.#next > MAX_BLOCK_NUMBER;
  }

  /** Nothing is kept, and nothing waits to be cut. */
  get isEmpty(): boolean {
    return this.#first === this.#next && !this.hasStaged;
  }

  get hasStaged(): boolean {
    return this.#stagedEnd > this.#stagedStart;
  }

  /** There may be something to cut a block from, and room for it. */
  get mayCut(): boolean {
    return (this.#mayFill || this.hasStaged) && this.#hasRoom;
  }

  get #hasRoom(): boolean {
    if (this.#next - this.#first >= MAX_BLOCKS_AHEAD || this.isExhausted) return false;
    if (this.#first === this.#next) return true;
    return this.#heldBytes < this.#options.sendBufferBytes &&
      this.#peerHeldBytes + this.#largest <= this.#peerWindowBytes;
  }

  get #largest(): number {
    return blockMemoryBytes(this.#options.dataShards * MAX_SHARD_BYTES);
  }

  wake(): void {
    this.#mayFill = true;
  }

  get(number: number): OutgoingBlock | undefined {
    return this.#blocks.get(number);
  }

  /** Cuts the next block; undefined when there is nothing, or no room. */
  cut(nowMs: number): OutgoingBlock | undefined {
    if (!this.#hasRoom) return undefined;
    if (!this.hasStaged && !this.#fill()) return undefined;
    const parityShards = this.totalShards - this.#options.dataShards;
    const available = this.#stagedEnd - this.#stagedStart;
    const plan = planBlock(available, { dataShards: this.#options.dataShards, parityShards });
    const totalShards = Math.min(MAX_SHARDS, plan.dataShards + parityShards);
    const block = this.#place(plan, totalShards, nowMs);
    this.#next++;
    this.#blocks.set(block.number, block);
    this.#heldBytes += block.memory.bytes.length;
    this.#peerHeldBytes += keptByPeer(block);
    return block;
  }

  /** The peer has all before `nextBlock`, and takes so many bytes from there on; false when it cannot have. */
  acknowledgeBefore(nextBlock: number, windowBytes: number): boolean {
    if (nextBlock > this.#next) return false;
    if (nextBlock < this.#first) return true; // an old one
    for (; this.#first < nextBlock; this.#first++) {
      const block = this.#blocks.get(this.#first)!;
      this.acknowledge(block);
      this.#peerHeldBytes -= keptByPeer(block);
      this.#blocks.delete(this.#first);
    }
    this.#peerWindowBytes = windowBytes;
    return true;
  }

  /** The peer has all of that block. */
  acknowledge(block: OutgoingBlock): void {
    if (block.isAcked) return;
    block.isAcked = true;
    this.#heldBytes -= block.memory.bytes.length;
    this.#options.memory.give(block.memory);
  }

  /** Gives all memory back. */
  clear(): void {
    for (const block of this.#blocks.values()) this.acknowledge(block);
    this.#blocks.clear();
    this.#first = this.#next;
    this.#stagedStart = this.#stagedEnd = 0;
    if (this.#staged) this.#options.memory.give(this.#staged);
    this.#staged = undefined;
    this.#mayFill = false;
  }

  #fill(): boolean {
    if (!this.#mayFill) return false;
    const { dataShards, memory, fill } = this.#options;
    this.#staged ??= memory.take(this.totalShards * MAX_SHARD_BYTES);
    this.#stagedStart = 0;
    const count = fill(this.#staged.bytes.subarray(0, dataShards * MAX_SHARD_BYTES));
    if (!this.#staged) return false; // cleared meanwhile
    this.#stagedEnd = count;
    this.#mayFill = count > 0;
    if (count > 0) return true;
    memory.give(this.#staged); // a session that is idle keeps none
    this.#staged = undefined;
    return false;
  }

  /** A block of all that is staged takes the memory as it is, if it does not waste most of it; otherwise it is copied. */
  #place(plan: BlockPlan, totalShards: number, nowMs: number): OutgoingBlock {
    const staged = this.#staged!;
    const start = this.#stagedStart;
    const neededBytes = totalShards * shardBytesOf(plan.blockBytes, plan.dataShards);
    const isAll = start === 0 && plan.blockBytes === this.#stagedEnd;
    this.#stagedStart += plan.blockBytes;
    let memory = staged;
    if (isAll && neededBytes <= staged.bytes.length && neededBytes * 2 > staged.bytes.length) {
      this.#staged = undefined;
      this.#stagedStart = this.#stagedEnd = 0;
    } else {
      memory = this.#options.memory.take(neededBytes);
      memory.bytes.set(staged.bytes.subarray(start, start + plan.blockBytes));
    }
    const block = new OutgoingBlock(this.#next, plan, { totalShards, memory, nowMs });
    memory.bytes.fill(0, plan.blockBytes, plan.dataShards * block.shardBytes);
    return block;
  }
}

function keptByPeer(block: OutgoingBlock): number {
  return blockMemoryBytes(block.dataShards * block.shardBytes);
}

export function countBits(mask: number): number {
  let count = 0;
  for (let left = mask; left !== 0; left &= left - 1) count++;
  return count;
}

function lowestZero(mask: number): number {
  return mask === -1 ? 32 : 31 - Math.clz32(~mask & (mask + 1));
}
