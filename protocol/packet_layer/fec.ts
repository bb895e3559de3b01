/**
 * Forward error correction as a KCP link uses it, both directions of it. Without shards of our own nothing is added to
 * what is sent, and yet a peer that adds parity is understood, as kcp-go does.
 */

import { openReedSolomon, type ReedSolomonFactory } from "../reed_solomon.ts";
import type { Slab } from "../slab.ts";
import { FecBlocks, FecDecoder } from "./fec_decoder.ts";
import { FecEncoder, type FecShards } from "./fec_encoder.ts";
import { FEC_HEAD_BYTES } from "./fec_head.ts";

export interface FecOptions {
  /** Shared by all links of a thread: `openFecCodes()`. */
  readonly codes: FecCodes;
  /** What we send; undefined: no parity. */
  readonly shards?: FecShards | undefined;
  /** The longest datagram of ours, its FEC head included. */
  readonly mostBytes: number;
  /** See `FecEncoderOptions`. */
  readonly quietMs?: number;
}

type OnSegments = (slab: Slab, start: number, end: number, isRecovered: boolean) => void;

export interface FecCodes {
  readonly reedSolomon: ReedSolomonFactory;
  /** Memory for groups. */
  readonly blocks: FecBlocks;
}

export function openFecCodes(): FecCodes {
  return { reedSolomon: openReedSolomon(), blocks: new FecBlocks() };
}

export class Fec {
  readonly headBytes: number;
  readonly maxParityBytes: number;
  readonly decoder: FecDecoder;
  readonly #encoder: FecEncoder | undefined;
  #onSegments: OnSegments | undefined;

  constructor({ codes: { reedSolomon: codes, blocks }, shards, mostBytes, quietMs }: FecOptions) {
    this.headBytes = shards ? FEC_HEAD_BYTES : 0;
    this.maxParityBytes = shards ? mostBytes : 0;
    if (shards) {
      this.#encoder = new FecEncoder({ codes, ...shards, mostBytes, ...(quietMs !== undefined && { quietMs }) });
    }
    this.decoder = new FecDecoder({ codes, blocks, ...(shards && { shards }) }, {
      onPacket: (slab, start, end, isRecovered) => this.#onSegments?.(slab, start, end, isRecovered),
    });
  }

  protect(slab: Slab, start: number, end: number, nowMs: number): number {
    return this.#encoder ? this.#encoder.protect(slab, start, end, nowMs) : 0;
  }

  parity(index: number, slab: Slab, at: number): number {
    return this.#encoder ? this.#encoder.writeParity(index, slab, at) : 0;
  }

  receive(slab: Slab, start: number, end: number, onSegments: OnSegments): void {
    this.#onSegments = onSegments;
    this.decoder.receive(slab, start, end);
  }
}
