/**
 * What a fragment session is made from, what it asks and tells, and what can be read off it.
 */

import type { Random } from "../random.ts";
import type { Slab } from "../slab.ts";
import type { BlockMemory } from "./block_memory.ts";
import type { LegOpener, LegPlace, LegSealer } from "./leg_seal.ts";
import type { ReedSolomonFactory } from "./reed_solomon.ts";

export interface CodingOptions {
  /** Shards that make up a block. */
  readonly dataShards: number;
  /** Shards sent of each block; the least that adaptation goes down to. */
  readonly totalShards: number;
  /** The most that adaptation goes up to. Default: one parity shard more for every two of data. */
  readonly maxTotalShards?: number;
  /** False keeps to `totalShards` whatever gets lost. Default true. */
  readonly isAdaptive?: boolean;
}

export interface FragmentLimits {
  /** Bytes of blocks that are not acknowledged yet; when there are more, `fill` is not called. Default 8 MiB. */
  readonly sendBufferBytes?: number;
  /** Bytes of blocks that cannot be delivered yet. The peer is told, and more is dropped. Default 8 MiB. */
  readonly receiveBufferBytes?: number;
  /** What one leg may have in flight. Default 4 MiB. */
  readonly maxWindowBytes?: number;
  /** With something unanswered for so long and nothing heard, the session ends. Default 15 s. */
  readonly silenceMs?: number;
}

export interface FragmentSessionOptions {
  /** The client decides which legs there are. */
  readonly role: "client" | "central";
  readonly coding: CodingOptions;
  /** Called once for each leg. The session disposes of it. */
  sealer(leg: number): LegSealer;
  opener(leg: number): LegOpener;
  readonly reedSolomon: ReedSolomonFactory;
  readonly random: Random;
  readonly limits?: FragmentLimits;
  /** Where fragments are sealed and opened, one at a time; sessions may share it. */
  readonly scratch?: Slab;
  /** Where blocks lie; sessions may share it. */
  readonly memory?: BlockMemory;
}

/** The legs of one end, as that end sees them. */
export interface LegsChange {
  readonly send: readonly LegPlace[];
  readonly receive: readonly LegPlace[];
}

export interface FragmentEvents {
  /** Puts bytes to send at the start of `into`; gives how many, 0 for none now, until `wake`. */
  fill(into: Uint8Array): number;
  /** Bytes have come, in order, once. A view, valid only during the call. */
  onBytes(bytes: Uint8Array): void;
  /** There may be something for that leg: call `pull` when it can send. Called during any method. */
  onWants(leg: number): void;
  /**
   * At a central: the client has these legs from now on. Called before the session asks for the sealers and openers of
   * new ones; it takes them by itself.
   */
  onLegs(change: LegsChange): void;
  /** The session has ended, `reason` when by a fault. Called once, last of all, and not after `close`. */
  onEnd(reason?: string): void;
}

/** `down`: its socket is gone. `suspect`: it has not answered, and gets probes only. */
export type LegState = "up" | "suspect" | "down";

export interface SendLegStats {
  readonly leg: number;
  readonly state: LegState;
  readonly rttMs: number | undefined;
  /** What of the last hundreds of fragments was lost, 0 to 1. */
  readonly lossShare: number;
  readonly windowBytes: number;
  readonly inFlightBytes: number;
  readonly sentFragments: number;
  /** When it was answered last. */
  readonly answeredAtMs: number;
}

export interface ReceiveLegStats {
  readonly leg: number;
  readonly receivedFragments: number;
  /** Fragments that were false, or had come before. */
  readonly refusedFragments: number;
  /** When a true fragment came last; `-Infinity` before the first. */
  readonly heardAtMs: number;
}

export interface FragmentSessionStats {
  readonly send: readonly SendLegStats[];
  readonly receive: readonly ReceiveLegStats[];
  readonly totalShards: number;
  readonly sentBlocks: number;
  readonly deliveredBlocks: number;
  /** Shards sent again, or besides, because others were lost. */
  readonly repairShards: number;
  /** Bytes of blocks that are kept until they are acknowledged, and until they can be delivered. */
  readonly sendBufferBytes: number;
  readonly receiveBufferBytes: number;
}
