import { assert, assertEquals, assertNotStrictEquals, assertStrictEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { CulvertError } from "./errors.ts";
import { MAX_SHARD_BYTES } from "./reed_solomon/code.ts";
import { openReedSolomon, type ReedSolomon } from "./reed_solomon.ts";
import { ReferenceCode } from "./reed_solomon/reference.ts";

/** Bytes that are never all alike, the same every time. */
function someBytes(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => (i * 167 + (i >> 3) * 31 + 13) & 0xff);
}

/** Encodes, spoils what is not present, decodes, and compares the data with what it was. */
function assertRebuilds(code: ReedSolomon, data: Uint8Array, shardBytes: number, present: number): void {
  const memory = { bytes: new Uint8Array(code.totalShards * shardBytes) };
  memory.bytes.set(data);
  code.encode(memory, shardBytes);
  for (let i = 0; i < code.totalShards; i++) {
    if (!(present >>> i & 1)) memory.bytes.fill(0xee, i * shardBytes, (i + 1) * shardBytes);
  }
  const given = memory.bytes.slice();
  assert(code.decode(memory, shardBytes, present));
  const dataBytes = code.dataShards * shardBytes;
  assertEquals(memory.bytes.subarray(0, dataBytes), data);
  assertEquals(memory.bytes.subarray(dataBytes), given.subarray(dataBytes), "parity is left as it is");
}

function countBits(mask: number): number {
  return mask.toString(2).replaceAll("0", "").length;
}

/** Shard counts, a shard length that is often no multiple of anything, and data for them. */
const blocks = fc.integer({ min: 1, max: 32 }).chain((totalShards) =>
  fc.record({
    totalShards: fc.constant(totalShards),
    dataShards: fc.integer({ min: 1, max: totalShards }),
    shardBytes: fc.integer({ min: 1, max: 200 }),
    seed: fc.uint8Array({ minLength: 64, maxLength: 64 }),
    order: fc.shuffledSubarray(Array.from({ length: totalShards }, (_, i) => i), { minLength: totalShards }),
  })
);

function dataOf({ dataShards, shardBytes, seed }: { dataShards: number; shardBytes: number; seed: Uint8Array }) {
  return someBytes(dataShards * shardBytes).map((byte, i) => byte ^ seed[i % seed.length]!);
}

const simd = openReedSolomon({ engine: "simd" });
const tables = openReedSolomon({ engine: "tables" });

for (
  const [name, code] of [
    ["the reference", (k: number, n: number) => new ReferenceCode(k, n)],
    ["SIMD", (k: number, n: number) => simd.code(k, n)],
    ["the table engine", (k: number, n: number) => tables.code(k, n)],
  ] as const
) {
  Deno.test(`${name} makes the parity that kcptun makes with 10 data and 3 parity shards`, () => {
    // Shard i is all zero but for a 1 at i: each parity shard is then a row of the matrix. Taken from kcptun 20210922.
    const memory = { bytes: new Uint8Array(13 * 10) };
    for (let i = 0; i < 10; i++) memory.bytes[i * 10 + i] = 1;
    code(10, 13).encode(memory, 10);
    assertEquals(
      [10, 11, 12].map((i) => memory.bytes.subarray(i * 10, i * 10 + 10).toHex()),
      ["8196afb8d2c4fee80302", "9681b8afc4d2e8fe0203", "bfd6620a066fdfb70504"],
    );
  });

  Deno.test(`${name} rebuilds from every pattern of enough shards, up to 6 of them`, () => {
    for (let totalShards = 1; totalShards <= 6; totalShards++) {
      for (let dataShards = 1; dataShards <= totalShards; dataShards++) {
        const data = someBytes(dataShards * 5);
        for (let present = 0; present < 1 << totalShards; present++) {
          if (countBits(present) < dataShards) continue;
          assertRebuilds(code(dataShards, totalShards), data, 5, present);
        }
      }
    }
  });

  Deno.test(`${name} rebuilds from any shards that are enough`, () => {
    fc.assert(
      fc.property(blocks, (block) => {
        const present = block.order.slice(0, block.dataShards).reduce((mask, i) => mask | 1 << i, 0);
        assertRebuilds(code(block.dataShards, block.totalShards), dataOf(block), block.shardBytes, present);
      }),
      { numRuns: name === "the reference" ? 60 : 500 },
    );
  });

  Deno.test(`${name} changes nothing when shards are too few, and none is missed when all data are there`, () => {
    const memory = { bytes: someBytes(5 * 8) };
    const before = memory.bytes.slice();
    for (const present of [0, 0b1, 0b11000, 0b00110]) assert(!code(3, 5).decode(memory, 8, present));
    assert(code(3, 5).decode(memory, 8, 0b00111));
    assertEquals(memory.bytes, before);
  });

  Deno.test(`${name} does not count bits beyond its shards`, () => {
    const memory = { bytes: someBytes(3 * 8) };
    const before = memory.bytes.slice();
    assert(!code(2, 3).decode(memory, 8, 0b11111001));
    assertEquals(memory.bytes, before);
  });

  Deno.test(`${name} refuses shards that cannot be and memory that is too small`, () => {
    for (const [k, n] of [[0, 3], [-1, 3], [1.5, 3], [4, 3], [2, 33], [33, 33], [NaN, 3], [2, Infinity]] as const) {
      assertThrows(() => code(k, n), RangeError, "Cannot code shards:");
    }
    const memory = { bytes: new Uint8Array(29) };
    for (const shardBytes of [0, -1, 1.5, NaN, 10, 65537, 2 ** 31]) {
      assertThrows(() => code(2, 3).encode(memory, shardBytes), RangeError, "Cannot code shards:");
      assertThrows(() => code(2, 3).decode(memory, shardBytes, 0b110), RangeError, "Cannot code shards:");
    }
  });
}

Deno.test("both engines make the same parity as the reference, and touch nothing behind it", () => {
  fc.assert(
    fc.property(blocks, (block) => {
      const { dataShards, totalShards, shardBytes } = block;
      const codes = [
        new ReferenceCode(dataShards, totalShards),
        simd.code(dataShards, totalShards),
        tables.code(dataShards, totalShards),
      ];
      const [expected, ...got] = codes.map((code) => {
        const memory = { bytes: someBytes(totalShards * shardBytes + 3) };
        memory.bytes.set(dataOf(block));
        code.encode(memory, shardBytes);
        return memory.bytes;
      });
      for (const bytes of got) assertEquals(bytes, expected);
    }),
    { numRuns: 60 },
  );
});

Deno.test("shards of any length up to the longest are rebuilt", () => {
  for (const shardBytes of [1, 15, 16, 63, 64, 65, 8192, 32_761, MAX_SHARD_BYTES]) {
    assertRebuilds(simd.code(2, 3), someBytes(2 * shardBytes), shardBytes, 0b110);
  }
  assertRebuilds(simd.code(31, 32), someBytes(31 * MAX_SHARD_BYTES), MAX_SHARD_BYTES, ~(1 << 17));
});

Deno.test("there is one coder for each number of shards", () => {
  const factory = openReedSolomon();
  assertStrictEquals(factory.code(2, 3), factory.code(2, 3));
  assertNotStrictEquals(factory.code(2, 3), factory.code(2, 4));
});

Deno.test("where vectors do not compile, tables do the work, unless vectors were asked for by name", () => {
  const { Module } = WebAssembly;
  WebAssembly.Module = function () {
    throw new WebAssembly.CompileError("Wasm SIMD unsupported");
  } as unknown as typeof Module;
  try {
    assertRebuilds(openReedSolomon().code(2, 3), someBytes(20), 10, 0b110);
    assertThrows(() => openReedSolomon({ engine: "simd" }), CulvertError, "must have WebAssembly with SIMD");
  } finally {
    WebAssembly.Module = Module;
  }
});
