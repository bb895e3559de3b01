/**
 * The receiving half of forward error correction: hands on every datagram as it comes and, when enough of a group is here,
 * those that were lost of it.
 *
 *   decoder.receive(slab, start, end)  →  onPacket(slab, start, end, isRecovered) for each
 *
 * How many shards a group has is the sender's choice and not on the wire: from a packet on that does not fit what is
 * believed in, it is learnt from the numbers at which data and parity alternate (`fec_tuning.ts`). Datagrams without an FEC
 * head are handed on as they are. The last `GROUPS` groups are kept, and one only until it is whole.
 */

import type { ReedSolomon, ReedSolomonFactory } from "../reed_solomon.ts";
import { Slab } from "../slab.ts";
import { checkFecShards, type FecShards } from "./fec_encoder.ts";
import { FEC_HEAD_BYTES, FEC_SHARD_START, FEC_SIZE_BYTES, fecNumbersEnd, FecType, fecTypeOf } from "./fec_head.ts";
import { FecTuning } from "./fec_tuning.ts";

export interface FecPackets {
  /** What lies behind the head of a datagram; `isRecovered`: it was rebuilt, so when it came tells nothing. Until it returns. */
  onPacket(slab: Slab, start: number, end: number, isRecovered: boolean): void;
}

export interface FecDecoderOptions {
  readonly codes: ReedSolomonFactory;
  /** What to believe in until the sender shows otherwise. Default: nothing, it is learnt. */
  readonly shards?: FecShards;
  /** Memory for groups, shared by the links of a thread. Default: its own. */
  readonly blocks?: FecBlocks;
  /** The longest datagram, its FEC head included; longer ones are handed on but never rebuilt. Default 1,500. */
  readonly mostBytes?: number;
}

export interface FecCounters {
  recoveredPackets: number;
  /** Groups that were given up with data missing. */
  lostGroups: number;
  /** How often the sender's shards were learnt. */
  tunings: number;
}

/** A power of two. Datagrams of one path overtake each other by no more than a group or two. */
const GROUPS = 8;
/** Memory of groups that are whole, kept for the next, of whatever link. */
const MAX_SPARE = 16;
const DEFAULT_MOST_BYTES = 1500;
/** A group so far behind is no latecomer: the sender has begun again. */
const LATE_GROUPS = 1024;

/** Memory that is taken for a group until it is whole. */
export class FecBlocks {
  #spare: Slab[] = [];

  take(bytes: number): Slab {
    const at = this.#spare.findLastIndex(({ size }) => size >= bytes);
    return at === -1 ? new Slab(bytes) : this.#spare.splice(at, 1)[0]!;
  }

  give(block: Slab): void {
    if (this.#spare.length === MAX_SPARE) this.#spare.shift();
    this.#spare.push(block);
  }
}

interface Group {
  number: number;
  /** Bit i: shard i is here. */
  present: number;
  dataCount: number;
  count: number;
  /** Of shards as the wire has them: the longest is that of every parity shard. */
  longest: number;
  /** All its data has been handed on. */
  isWhole: boolean;
  memory: Slab | undefined;
}

export class FecDecoder {
  readonly counters: FecCounters = { recoveredPackets: 0, lostGroups: 0, tunings: 0 };
  readonly #codes: ReedSolomonFactory;
  readonly #packets: FecPackets;
  readonly #strideBytes: number;
  readonly #tuning = new FecTuning();
  #shards: FecShards | undefined;
  #code: ReedSolomon | undefined;
  #end = 0;
  #groups: (Group | undefined)[] = [];
  readonly #blocks: FecBlocks;

  constructor(options: FecDecoderOptions, packets: FecPackets) {
    const { codes, shards, blocks = new FecBlocks(), mostBytes = DEFAULT_MOST_BYTES } = options;
    this.#blocks = blocks;
    this.#codes = codes;
    this.#packets = packets;
    this.#strideBytes = mostBytes - FEC_SHARD_START;
    if (!shards) return;
    this.#use(shards);
    this.counters.tunings = 0;
  }

  /** What the sender is taken to use; undefined until it has shown it. */
  get shards(): FecShards | undefined {
    return this.#shards;
  }

  /** A datagram, FEC head or not, at [start, end). */
  receive(slab: Slab, start: number, end: number): void {
    const type = fecTypeOf(slab, start, end);
    if (type === undefined) return this.#packets.onPacket(slab, start, end, false);
    const isData = type === FecType.data;
    const group = this.#take(slab, start, end, isData);
    if (isData) this.#packets.onPacket(slab, start + FEC_HEAD_BYTES, end, false);
    if (group) this.#complete(group);
  }

  /** Forgets the groups that wait for more, and gives their memory back. For links that have fallen silent, or ended. */
  trim(): void {
    for (const group of this.#groups) if (group) this.#free(group);
    this.#groups = [];
  }

  /** Keeps a shard; gives its group when there is something new in it. */
  #take(slab: Slab, start: number, end: number, isData: boolean): Group | undefined {
    const number = slab.view.getUint32(start, true);
    this.#tuning.see(number, isData);
    if (!this.#fits(number, isData)) {
      this.#use(this.#tuning.shards);
      if (!this.#fits(number, isData)) return undefined;
    }
    const { dataShards, parityShards } = this.#shards!;
    const shard = number % (dataShards + parityShards);
    const group = this.#groupOf((number - shard) / (dataShards + parityShards));
    const size = end - start - FEC_SHARD_START;
    const bit = 1 << shard;
    if (!group || group.isWhole || (group.present & bit) !== 0 || size > this.#strideBytes) return undefined;
    group.present |= bit;
    group.count++;
    if (isData) group.dataCount++;
    if (size > group.longest) group.longest = size;
    const { bytes } = group.memory ??= this.#newMemory();
    const at = shard * this.#strideBytes;
    bytes.set(slab.bytes.subarray(start + FEC_SHARD_START, end), at);
    bytes.fill(0, at + size, at + this.#strideBytes);
    return group;
  }

  #fits(number: number, isData: boolean): boolean {
    if (!this.#shards || number >= this.#end) return false;
    const { dataShards, parityShards } = this.#shards;
    return number % (dataShards + parityShards) < dataShards === isData;
  }

  /** The group of that number, new if need be; undefined when it is over. */
  #groupOf(number: number): Group | undefined {
    const slot = number & GROUPS - 1;
    const known = this.#groups[slot];
    if (known?.number === number) return known;
    if (known) {
      const { dataShards, parityShards } = this.#shards!;
      const count = this.#end / (dataShards + parityShards);
      const behind = (known.number - number + count) % count;
      if (behind < LATE_GROUPS) return undefined;
      if (!known.isWhole) this.counters.lostGroups++;
      this.#free(known);
    }
    const group = { number, present: 0, dataCount: 0, count: 0, longest: 0, isWhole: false, memory: undefined };
    return this.#groups[slot] = group;
  }

  #complete(group: Group): void {
    const { dataShards } = this.#shards!;
    if (group.count < dataShards) return;
    group.isWhole = true;
    if (group.dataCount < dataShards) this.#recover(group, group.memory!);
    this.#free(group);
  }

  #recover(group: Group, memory: Slab): void {
    const { dataShards } = this.#shards!;
    if (!this.#code!.decode(memory, this.#strideBytes, group.present)) return;
    for (let shard = 0; shard < dataShards; shard++) {
      if (group.present & 1 << shard) continue;
      const at = shard * this.#strideBytes;
      const size = memory.view.getUint16(at, true);
      if (size < FEC_SIZE_BYTES || size > group.longest) continue;
      this.counters.recoveredPackets++;
      this.#packets.onPacket(memory, at + FEC_SIZE_BYTES, at + size, true);
    }
  }

  #free(group: Group): void {
    if (group.memory) this.#blocks.give(group.memory);
    group.memory = undefined;
  }

  #newMemory(): Slab {
    const { dataShards, parityShards } = this.#shards!;
    return this.#blocks.take((dataShards + parityShards) * this.#strideBytes);
  }

  /**
   * From now on; undefined: what was believed in has been wrong, and what is right not seen. Groups cut wrongly must not
   * be decoded: all datagrams of a session begin alike, so what would come out looks like one of them.
   */
  #use(shards: FecShards | undefined): void {
    if (shards) this.counters.tunings++;
    this.#shards = shards;
    this.trim();
    if (!shards) return;
    checkFecShards(shards);
    const total = shards.dataShards + shards.parityShards;
    this.#code = this.#codes.code(shards.dataShards, total);
    this.#end = fecNumbersEnd(total);
  }
}
