/**
 * The blocks that have begun to come: shards until there are enough, then bytes, in order.
 *
 *   shard → its block → `dataShards` of them → data, rebuilt if parity is among them → delivered when all before are
 *
 * A block takes the memory of its data, no more: a parity shard lies where a data shard is missing. What is kept for
 * blocks that cannot be delivered is bounded, whatever a peer sends; only the block that is next always finds room.
 */

import { type BlockMemory, blockMemoryBytes } from "./block_memory.ts";
import { type Ack, type AckRun, MAX_ACK_RUNS, MAX_BLOCK_NUMBER, shardBytesOf, type ShardHead } from "./frames.ts";
import { MAX_BLOCKS_AHEAD } from "./outgoing_blocks.ts";
import type { ReedSolomonFactory, ShardMemory } from "./reed_solomon.ts";

class IncomingBlock {
  readonly dataShards: number;
  readonly blockBytes: number;
  readonly shardBytes: number;
  readonly memory: ShardMemory;
  /** Which shard lies at each place. */
  readonly places: Int8Array;
  mask = 0;
  count = 0;

  constructor({ dataShards, blockBytes }: ShardHead, memory: BlockMemory) {
    this.dataShards = dataShards;
    this.blockBytes = blockBytes;
    this.shardBytes = shardBytesOf(blockBytes, dataShards);
    this.memory = memory.take(dataShards * this.shardBytes);
    this.places = new Int8Array(dataShards).fill(-1);
  }

  get isComplete(): boolean {
    return this.count === this.dataShards;
  }

  get hasParity(): boolean {
    return this.mask >>> this.dataShards !== 0 && this.dataShards < 32;
  }

  take(index: number, shard: Uint8Array): void {
    let place = index;
    if (index >= this.dataShards) place = this.places.lastIndexOf(-1);
    else if (this.places[index] !== -1) this.#move(index);
    this.memory.bytes.set(shard, place * this.shardBytes);
    this.places[place] = index;
    this.mask |= 1 << index;
    this.count++;
  }

  /** A parity shard makes room for the data shard whose place it has. */
  #move(from: number): void {
    const to = this.places.lastIndexOf(-1);
    this.memory.bytes.copyWithin(to * this.shardBytes, from * this.shardBytes, (from + 1) * this.shardBytes);
    this.places[to] = this.places[from]!;
  }
}

export interface IncomingOptions {
  readonly memory: BlockMemory;
  readonly reedSolomon: ReedSolomonFactory;
  readonly receiveBufferBytes: number;
  onBytes(bytes: Uint8Array): void;
}

export class IncomingBlocks {
  readonly #options: IncomingOptions;
  readonly #blocks = new Map<number, IncomingBlock>();
  #next = 0;
  /** The block behind the last of which a shard came. */
  #end = 0;
  #heldBytes = 0;
  #decoding: ShardMemory | undefined;

  constructor(options: IncomingOptions) {
    this.#options = options;
  }

  /** The first block that is not complete. */
  get next(): number {
    return this.#next;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Some block behind the first that is not complete has begun to come. */
  get hasGap(): boolean {
    return this.#end > this.#next + 1;
  }

  /** Takes a shard; one that is not needed, cannot be or finds no room is dropped. */
  take(head: ShardHead, shard: Uint8Array): void {
    const { block: number, index } = head;
    if (number < this.#next || number >= this.#next + MAX_BLOCKS_AHEAD || number > MAX_BLOCK_NUMBER) return;
    const block = this.#blocks.get(number) ?? this.#begin(head);
    if (!block || block.isComplete || (block.mask & 1 << index) !== 0) return;
    if (block.dataShards !== head.dataShards || block.blockBytes !== head.blockBytes) return;
    block.take(index, shard);
    if (number >= this.#end) this.#end = number + 1;
    if (!block.isComplete) return;
    if (block.hasParity) this.#rebuild(block);
    if (number === this.#next) this.#deliver();
  }

  /** What an ACK says of blocks. */
  describe(): Pick<Ack, "nextBlock" | "runs" | "complete" | "isCut"> {
    const runs: AckRun[] = [];
    let complete = 0;
    for (let number = this.#next; number < this.#end; number++) {
      const block = this.#blocks.get(number);
      if (block?.isComplete) {
        complete++;
        continue;
      }
      if (runs.length === MAX_ACK_RUNS) return { nextBlock: this.#next, runs, complete, isCut: true };
      runs.push({ complete, mask: block?.mask ?? 0 });
      complete = 0;
    }
    return { nextBlock: this.#next, runs, complete, isCut: false };
  }

  /** Gives all memory back, and takes nothing more. */
  clear(): void {
    for (const block of this.#blocks.values()) this.#drop(block);
    this.#blocks.clear();
    this.#next = this.#end = MAX_BLOCK_NUMBER + 1;
  }

  #begin(head: ShardHead): IncomingBlock | undefined {
    const neededBytes = blockMemoryBytes(head.dataShards * shardBytesOf(head.blockBytes, head.dataShards));
    const isOver = this.#heldBytes + neededBytes > this.#options.receiveBufferBytes;
    if (isOver && head.block !== this.#next) return undefined;
    const block = new IncomingBlock(head, this.#options.memory);
    this.#heldBytes += block.memory.bytes.length;
    this.#blocks.set(head.block, block);
    return block;
  }

  #deliver(): void {
    for (let block = this.#blocks.get(this.#next); block?.isComplete; block = this.#blocks.get(this.#next)) {
      this.#blocks.delete(this.#next);
      this.#next++;
      this.#options.onBytes(block.memory.bytes.subarray(0, block.blockBytes));
      this.#drop(block);
    }
  }

  #drop(block: IncomingBlock): void {
    this.#heldBytes -= block.memory.bytes.length;
    this.#options.memory.give(block.memory);
  }

  /** Puts the shards in their places in memory that has room for parity, and the missing data back. */
  #rebuild(block: IncomingBlock): void {
    const { shardBytes, dataShards, places, memory: { bytes } } = block;
    const totalShards = 32 - Math.clz32(block.mask);
    const decoding = this.#decodingMemory(totalShards * shardBytes);
    for (let place = 0; place < dataShards; place++) {
      const shard = bytes.subarray(place * shardBytes, (place + 1) * shardBytes);
      decoding.bytes.set(shard, places[place]! * shardBytes);
    }
    this.#options.reedSolomon.code(dataShards, totalShards).decode(decoding, shardBytes, block.mask);
    for (let place = 0; place < dataShards; place++) {
      if (places[place] === place) continue;
      bytes.set(decoding.bytes.subarray(place * shardBytes, (place + 1) * shardBytes), place * shardBytes);
    }
  }

  #decodingMemory(bytes: number): ShardMemory {
    if (!this.#decoding || this.#decoding.bytes.length < bytes) {
      this.#decoding = this.#options.reedSolomon.memory(blockMemoryBytes(bytes));
    }
    return this.#decoding;
  }
}
