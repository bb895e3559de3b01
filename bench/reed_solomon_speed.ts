/**
 * How fast Reed–Solomon coders are on one core: data bytes per second, encoding and decoding with as many data shards
 * missing as can be, for the codes and shard lengths that fragments use. What has no vectors is measured too.
 */

import type { Clock } from "../protocol/clock.ts";
import { type EngineName, openReedSolomon, type ReedSolomon, type ShardMemory } from "../protocol/reed_solomon.ts";
import { median } from "./rounds.ts";

const CODES = [{ data: 2, total: 3 }, { data: 10, total: 14 }];
const SHARD_KIB = [8, 32];

const full = { rounds: 7, roundMs: 200 };
const quick = { rounds: 3, roundMs: 50 };

/** Between two looks at the clock. */
const CALLS = 16;

export interface SpeedOptions {
  readonly quick: boolean;
  readonly clock: Clock;
}

/** Figures by name, in GB/s. */
export function measureReedSolomon({ quick: isQuick, clock }: SpeedOptions): Record<string, number> {
  const settings = { ...(isQuick ? quick : full), clock };
  const vectors = CODES.flatMap((code) =>
    SHARD_KIB.flatMap((kib) => figuresOf({ engine: "simd", kib, code }, settings))
  );
  const tables = CODES.flatMap((code) => figuresOf({ engine: "tables", kib: SHARD_KIB[0]!, code }, settings));
  return Object.fromEntries([...vectors, ...tables]);
}

interface Setting {
  readonly engine: EngineName;
  readonly kib: number;
  readonly code: { readonly data: number; readonly total: number };
}

type Rounds = typeof full & { readonly clock: Clock };

function figuresOf({ engine, kib, code: { data, total } }: Setting, rounds: Rounds): [string, number][] {
  const factory = openReedSolomon({ engine });
  const code = factory.code(data, total);
  const shardBytes = kib * 1024;
  const memory = factory.memory(total * shardBytes);
  memory.bytes.forEach((_, at) => memory.bytes[at] = at * 31 >> 3);
  const name = `reed_solomon_${data}_of_${total}_${kib}k_${engine}`;
  return [
    [`${name}_encode_gb_s`, gbPerS(() => code.encode(memory, shardBytes), data * shardBytes, rounds)],
    [`${name}_decode_gb_s`, gbPerS(decoder(code, memory, shardBytes), data * shardBytes, rounds)],
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

function gbPerS(run: () => void, dataBytes: number, { rounds, roundMs, clock }: Rounds): number {
  timePerCallMs(run, roundMs, clock); // compiles
  return dataBytes / median(Array.from({ length: rounds }, () => timePerCallMs(run, roundMs, clock))) / 1e6;
}

function timePerCallMs(run: () => void, roundMs: number, clock: Clock): number {
  const startMs = clock.now();
  for (let calls = CALLS;; calls += CALLS) {
    for (let i = 0; i < CALLS; i++) run();
    const tookMs = clock.now() - startMs;
    if (tookMs >= roundMs) return tookMs / calls;
  }
}
