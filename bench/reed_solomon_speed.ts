/**
 * How fast Reed–Solomon coders are on one core: data bytes per second, encoding and decoding with as many data shards
 * missing as can be, for the codes and shard lengths that fragments use. What has no vectors is measured too.
 */

import { clockOf } from "../protocol/clock.ts";
import { type EngineName, openReedSolomon, type ReedSolomon, type ShardMemory } from "../protocol/reed_solomon.ts";
import { median } from "./rounds.ts";

const CODES = [{ data: 2, total: 3 }, { data: 10, total: 14 }];
const SHARD_KIB = [8, 32];

const ROUNDS = 5;

/** Between two looks at the clock. */
const CALLS = 16;

/** Figures by name, in GB/s; each takes six rounds. */
export function measureReedSolomon(roundMs: number): Record<string, number> {
  const vectors = CODES.flatMap((code) =>
    SHARD_KIB.flatMap((kib) => figuresOf({ engine: "simd", kib, code }, roundMs))
  );
  const tables = CODES.flatMap((code) => figuresOf({ engine: "tables", kib: SHARD_KIB[0]!, code }, roundMs));
  return Object.fromEntries([...vectors, ...tables]);
}

interface Setting {
  readonly engine: EngineName;
  readonly kib: number;
  readonly code: { readonly data: number; readonly total: number };
}

function figuresOf({ engine, kib, code: { data, total } }: Setting, roundMs: number): [string, number][] {
  const factory = openReedSolomon({ engine });
  const code = factory.code(data, total);
  const shardBytes = kib * 1024;
  const memory = factory.memory(total * shardBytes);
  memory.bytes.forEach((_, at) => memory.bytes[at] = at * 31 >> 3);
  const name = `reed_solomon_${data}_of_${total}_${kib}k_${engine}`;
  return [
    [`${name}_encode_gb_s`, gbPerS(() => code.encode(memory, shardBytes), data * shardBytes, roundMs)],
    [`${name}_decode_gb_s`, gbPerS(decoder(code, memory, shardBytes), data * shardBytes, roundMs)],
  ];
}

/** The first data shards are missing, and all parity is there. */
function decoder(code: ReedSolomon, memory: ShardMemory, shardBytes: number): () => void {
  const missing = Math.min(code.dataShards, code.totalShards - code.dataShards);
  const present = (1 << code.totalShards) - (1 << missing);
  return () => {
    code.decode(memory, shardBytes, present);
  };
}

function gbPerS(run: () => void, dataBytes: number, roundMs: number): number {
  timePerCallMs(run, roundMs); // compiles
  return dataBytes / median(Array.from({ length: ROUNDS }, () => timePerCallMs(run, roundMs))) / 1e6;
}

function timePerCallMs(run: () => void, roundMs: number): number {
  const clock = clockOf(globalThis);
  const startMs = clock.now();
  for (let calls = CALLS;; calls += CALLS) {
    for (let i = 0; i < CALLS; i++) run();
    const tookMs = clock.now() - startMs;
    if (tookMs >= roundMs) return tookMs / calls;
  }
}
