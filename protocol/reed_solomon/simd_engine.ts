/**
 * The engine on WebAssembly's vectors. A product c·x is looked up in halves, c·(x's low 4 bits) + c·(x's high 4 bits):
 * each half has 16 values, a table that fits one vector, and one instruction looks up all 16 bytes of another.
 *
 * The shards are copied into the module's memory and the sums out of it. That costs less than half of the sums, and
 * leaves whoever calls with memory of their own that never moves, of any size.
 *
 *   memory:   tables, 256 · (16 low + 16 high products) | coefficients | known shards | the wanted shard
 *
 * Technique: Plank, Greenan, Miller, "Screaming Fast Galois Field Arithmetic Using Intel SIMD Instructions", FAST 2013.
 */

import { MAX_SHARD_BYTES, MAX_SHARDS, type ShardMemory } from "./code.ts";
import type { Engine, Sums } from "./engine.ts";
import type { FieldTables } from "./field_tables.ts";
import { assemble, type Code, I32, i32, local, repeatWhile, setLocal, V128, v128 } from "./wasm.ts";

/** Vectors that are summed side by side, so that each table is loaded once for all of them. */
const LANES = 4;
const STEP_BYTES = LANES * 16;
/** Low and high products of one coefficient. */
const TABLE_BITS = 5;

const COEFFICIENTS_AT = 256 << TABLE_BITS;
const SHARDS_AT = COEFFICIENTS_AT + STEP_BYTES;
const MEMORY_BYTES = SHARDS_AT + (MAX_SHARDS + 1) * (MAX_SHARD_BYTES + STEP_BYTES);
const PAGE_BYTES = 65536;

/** Sums `count` shards that lie `stride` apart, from `input` on, each times its coefficient; from `output` to `end`. */
type SumShards = (count: number, input: number, stride: number, output: number, end: number) => void;

/** Undefined where WebAssembly is missing or forbidden, or has no vectors. */
export function openSimdEngine(tables: FieldTables): Engine | undefined {
  if (typeof WebAssembly === "undefined") return undefined;
  try {
    return new SimdEngine(tables);
  } catch (error) {
    if (error instanceof WebAssembly.CompileError) return undefined;
    throw error;
  }
}

class SimdEngine implements Engine {
  readonly #memory: Uint8Array<ArrayBuffer>;
  readonly #sumShards: SumShards;

  constructor({ products }: FieldTables) {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(sumShardsModule()));
    this.#sumShards = exports["sumShards"] as SumShards;
    this.#memory = new Uint8Array((exports["memory"] as WebAssembly.Memory).buffer as ArrayBuffer);
    for (let coefficient = 0; coefficient < 256; coefficient++) {
      for (let half = 0; half < 16; half++) {
        const at = coefficient << TABLE_BITS | half;
        this.#memory[at] = products[coefficient << 8 | half]!;
        this.#memory[at + 16] = products[coefficient << 8 | half << 4]!;
      }
    }
  }

  fill({ bytes }: ShardMemory, shardBytes: number, sums: Sums): void {
    const { known, knownCount, wanted, wantedCount, coefficients } = sums;
    const memory = this.#memory;
    // Whole steps, and one more: shards of a power of two would otherwise all fall into the same lines of the cache.
    const stride = Math.ceil(shardBytes / STEP_BYTES) * STEP_BYTES + STEP_BYTES;
    for (let k = 0; k < knownCount; k++) {
      const from = known[k]! * shardBytes;
      memory.set(bytes.subarray(from, from + shardBytes), SHARDS_AT + k * stride);
    }
    const output = SHARDS_AT + knownCount * stride;
    for (let w = 0; w < wantedCount; w++) {
      for (let k = 0; k < knownCount; k++) memory[COEFFICIENTS_AT + k] = coefficients[w * knownCount + k]!;
      this.#sumShards(knownCount, SHARDS_AT, stride, output, output + shardBytes);
      bytes.set(memory.subarray(output, output + shardBytes), wanted[w]! * shardBytes);
    }
  }
}

function sumShardsModule(): Uint8Array<ArrayBuffer> {
  const [count, input, stride, output, end] = [0, 1, 2, 3, 4];
  const [coefficient, lastCoefficient, shard, table] = [5, 6, 7, 8];
  const [low, high, nibble, bytes] = [9, 10, 11, 12];
  const sums = Array.from({ length: LANES }, (_, lane) => 13 + lane);

  const addProducts = (sum: number, lane: number): Code[] => [
    setLocal(bytes!, v128.load(local(shard!), lane * 16)),
    setLocal(
      sum,
      v128.xor(
        v128.xor(local(sum), v128.swizzle(local(low!), v128.and(local(bytes!), local(nibble!)))),
        v128.swizzle(local(high!), v128.and(v128.shiftPairsRight(local(bytes!), 4), local(nibble!))),
      ),
    ),
  ];
  return assemble({
    name: "sumShards",
    parameters: [I32, I32, I32, I32, I32],
    locals: [I32, I32, I32, I32, V128, V128, V128, V128, ...sums.map(() => V128)],
    body: [
      setLocal(nibble!, v128.splat(i32.constant(0x0f))),
      setLocal(lastCoefficient!, i32.add(i32.constant(COEFFICIENTS_AT), local(count!))),
      repeatWhile(i32.isBelow(local(output!), local(end!)), [
        ...sums.map((sum) => setLocal(sum, v128.zero())),
        setLocal(coefficient!, i32.constant(COEFFICIENTS_AT)),
        setLocal(shard!, local(input!)),
        repeatWhile(i32.isBelow(local(coefficient!), local(lastCoefficient!)), [
          setLocal(table!, i32.shiftLeft(i32.loadByte(local(coefficient!)), i32.constant(TABLE_BITS))),
          setLocal(low!, v128.load(local(table!))),
          setLocal(high!, v128.load(local(table!), 16)),
          ...sums.flatMap(addProducts),
          setLocal(shard!, i32.add(local(shard!), local(stride!))),
          setLocal(coefficient!, i32.add(local(coefficient!), i32.constant(1))),
        ]),
        ...sums.map((sum, lane) => v128.store(local(output!), lane * 16, local(sum))),
        setLocal(input!, i32.add(local(input!), i32.constant(STEP_BYTES))),
        setLocal(output!, i32.add(local(output!), i32.constant(STEP_BYTES))),
      ]),
    ],
  }, Math.ceil(MEMORY_BYTES / PAGE_BYTES));
}
