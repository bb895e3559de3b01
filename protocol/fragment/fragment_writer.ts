/**
 * Puts fragments together: what is owed to the peer besides shards, then a shard, sealed for one leg.
 *
 * What is owed goes along where a shard's size class has room anyway. Once it is due it gets a fragment of its own.
 */

import type { Slab } from "../slab.ts";
import {
  type Ack,
  ackBytes,
  FrameType,
  LEGS_TAKEN_BYTES,
  legsBytes,
  SHARD_HEAD_BYTES,
  writeAck,
  writeLegs,
  writeLegsTaken,
  writeShardHead,
} from "./frames.ts";
import { FRAGMENT_HEADER_BYTES, FRAGMENT_OVERHEAD_BYTES, FRAGMENT_SIZES, fragmentBytesFor } from "./leg_seal.ts";
import type { LegsAnnouncement } from "./legs_announcement.ts";
import type { AckTimer } from "./receive_legs.ts";
import type { ReedSolomonFactory } from "./reed_solomon.ts";
import type { SendLeg } from "./send_leg.ts";
import type { ShardChoice, ShardScheduler } from "./shard_scheduler.ts";

/** A leg that carries nothing but ACKs is asked whether it is alive as often as this. */
const ASK_EVERY_MS = 100;

/** An ACK without runs, of two legs. */
const LEAST_ACK_BYTES = 46;

/** What a fragment may say besides its shard. */
interface Owed {
  readonly roomBytes: number;
  readonly trusted: boolean;
  readonly ack: Ack | undefined;
}

export interface FragmentWriterOptions {
  readonly scratch: Slab;
  readonly scheduler: ShardScheduler;
  readonly acks: AckTimer;
  readonly announcement: LegsAnnouncement;
  readonly reedSolomon: ReedSolomonFactory;
  describe(nowMs: number): Ack;
  /** False once the keys may be gone: whoever fills may have closed the session. */
  isOpen(): boolean;
}

export class FragmentWriter {
  /** A generation of legs the peer must be told has been taken; -1 for none. */
  owedGeneration = -1;
  repairShards = 0;
  readonly #options: FragmentWriterOptions;

  constructor(options: FragmentWriterOptions) {
    this.#options = options;
  }

  /** Something must go out even without a shard. */
  isDue(nowMs: number): boolean {
    const { acks, announcement } = this.#options;
    return acks.dueAtMs <= nowMs || announcement.dueAtMs <= nowMs || this.owedGeneration >= 0;
  }

  /**
   * Makes the next fragment for a leg at the start of the scratch, of at most `maxBytes`; 0 when there is none. Only a
   * leg that is `trusted` gets more than a PING.
   */
  write(leg: SendLeg, { maxBytes, trusted }: { maxBytes: number; trusted: boolean }, nowMs: number): number {
    const roomBytes = (FRAGMENT_SIZES.findLast((size) => size <= maxBytes) ?? 0) - FRAGMENT_OVERHEAD_BYTES;
    if (roomBytes < 0) return 0;
    const choice = leg.state === "up" ? this.#options.scheduler.choose(leg, nowMs) : undefined;
    if (!this.#options.isOpen()) return 0;
    const mustSpeak = leg.owesPing || (trusted && this.isDue(nowMs));
    const shardBytes = choice ? SHARD_HEAD_BYTES + choice.block.shardBytes : 0;
    const freeBytes = choice ? fragmentBytesFor(shardBytes)! - FRAGMENT_OVERHEAD_BYTES - shardBytes : 0;
    const ack = this.#ackFor(trusted, mustSpeak || freeBytes >= LEAST_ACK_BYTES, nowMs);
    if (mustSpeak && (!choice || this.#owedBytes(leg, trusted, ack) > freeBytes)) {
      return this.#writeAlone(leg, { roomBytes, trusted, ack }, nowMs);
    }
    if (!choice) leg.onNothingToSend();
    if (!choice || shardBytes > roomBytes) return 0;
    const at = this.#writeOwed(leg, { roomBytes: freeBytes, trusted, ack }, nowMs);
    return this.#writeShard(leg, choice, at, nowMs);
  }

  /** The goodbye, at the start of the scratch. */
  writeGoodbye(leg: SendLeg): number {
    const { scratch } = this.#options;
    scratch.bytes[FRAGMENT_HEADER_BYTES] = FrameType.CLOSE;
    return leg.sealer.seal(scratch, 0, 1);
  }

  #ackFor(trusted: boolean, isWanted: boolean, nowMs: number): Ack | undefined {
    return trusted && isWanted && this.#options.acks.isOwed ? this.#options.describe(nowMs) : undefined;
  }

  /** What everything that is owed takes. */
  #owedBytes(leg: SendLeg, trusted: boolean, ack: Ack | undefined): number {
    const { frame } = this.#options.announcement;
    let bytes = leg.owesPing ? 1 : 0;
    if (ack) bytes += ackBytes(ack);
    if (trusted && frame) bytes += legsBytes(frame);
    if (trusted && this.owedGeneration >= 0) bytes += LEGS_TAKEN_BYTES;
    return bytes;
  }

  #writeAlone(leg: SendLeg, what: Owed, nowMs: number): number {
    const { acks } = this.#options;
    if (acks.isForData && nowMs - leg.askedAtMs >= ASK_EVERY_MS) leg.owesPing = true;
    const asks = leg.owesPing || (what.trusted && this.#options.announcement.frame !== undefined);
    const end = this.#writeOwed(leg, what, nowMs);
    return end === FRAGMENT_HEADER_BYTES ? 0 : this.#seal(leg, end, asks, nowMs);
  }

  /** Writes what there is room for; gives where it ends. */
  #writeOwed(leg: SendLeg, { roomBytes, trusted, ack }: Owed, nowMs: number): number {
    const { scratch: { bytes }, acks, announcement } = this.#options;
    const end = FRAGMENT_HEADER_BYTES + roomBytes;
    let at = FRAGMENT_HEADER_BYTES;
    if (leg.owesPing && at < end) {
      bytes[at++] = FrameType.PING;
      leg.owesPing = false;
    }
    if (ack && at + ackBytes(ack) <= end) {
      at = writeAck(bytes, at, ack);
      acks.onSent();
    }
    if (!trusted) return at;
    if (this.owedGeneration >= 0 && at + LEGS_TAKEN_BYTES <= end) {
      at = writeLegsTaken(bytes, at, this.owedGeneration);
      this.owedGeneration = -1;
    }
    const { frame } = announcement;
    if (frame && announcement.dueAtMs <= nowMs && at + legsBytes(frame) <= end) {
      at = writeLegs(bytes, at, frame);
      announcement.onSent(nowMs);
    }
    return at;
  }

  /** The shard comes last: what is read before it does not depend on what it sets off. */
  #writeShard(leg: SendLeg, choice: ShardChoice, at: number, nowMs: number): number {
    const { scratch: { bytes }, reedSolomon, scheduler } = this.#options;
    const { block, index } = choice;
    const { number, dataShards, blockBytes, shardBytes } = block;
    const head = writeShardHead(bytes, at, { block: number, dataShards, index, blockBytes });
    bytes.set(block.shard(index, reedSolomon), head);
    scheduler.take(choice, leg, nowMs);
    if (choice.isRepair) this.repairShards++;
    return this.#seal(leg, head + shardBytes, true, nowMs);
  }

  #seal(leg: SendLeg, end: number, asks: boolean, nowMs: number): number {
    const length = leg.sealer.seal(this.#options.scratch, 0, end - FRAGMENT_HEADER_BYTES);
    leg.onSent(length, asks, nowMs);
    return length;
  }
}
