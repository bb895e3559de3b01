import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { adaptTotalShards, planBlock, shareLost } from "./block_plan.ts";
import { MAX_SHARD_BYTES } from "./frames.ts";

Deno.test("blocks are cut so that they fill their fragments", () => {
  const rows = [
    [1, { dataShards: 1, blockBytes: 1 }],
    [478, { dataShards: 1, blockBytes: 478 }],
    [900, { dataShards: 2, blockBytes: 900 }],
    [3000, { dataShards: 2, blockBytes: 3000 }],
    [20_000, { dataShards: 2, blockBytes: 16_316 }],
    [60_000, { dataShards: 2, blockBytes: 60_000 }],
    [1_000_000, { dataShards: 2, blockBytes: 2 * MAX_SHARD_BYTES }],
  ] as const;
  for (const [bytes, plan] of rows) {
    {
      const { dataShards, blockBytes } = planBlock(bytes, { dataShards: 2, parityShards: 1 });
      assertEquals({ dataShards, blockBytes }, plan, `${bytes}`);
    }
  }
});

Deno.test("a plan takes some of what is there, in shards that fit a fragment", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2e6 }), fc.integer({ min: 1, max: 16 }), fc.nat(8), (bytes, data, parity) => {
      const plan = planBlock(bytes, { dataShards: data, parityShards: parity });
      assert(plan.blockBytes >= 1 && plan.blockBytes <= bytes);
      assert(plan.dataShards >= 1 && plan.dataShards <= data);
      assert(Math.ceil(plan.blockBytes / plan.dataShards) <= MAX_SHARD_BYTES);
    }),
  );
});

Deno.test("how often too few shards come is as counted by hand", () => {
  const rows = [[2, 3, 0, 0], [2, 3, 1, 1], [1, 1, 0.25, 0.25], [2, 3, 0.5, 0.5], [2, 3, 0.1, 0.028]] as const;
  for (const [data, total, loss, share] of rows) {
    assert(Math.abs(shareLost(data, total, loss) - share) < 1e-9, `${data} of ${total} at ${loss}`);
  }
});

Deno.test("more is lost, more parity is sent, between the bounds", () => {
  const rows = [[0, 3], [0.05, 3], [0.15, 4], [0.3, 5], [0.9, 5]] as const;
  for (const [loss, total] of rows) assertEquals(adaptTotalShards(2, { least: 3, most: 5 }, loss), total, `${loss}`);
  assertEquals(adaptTotalShards(2, { least: 3, most: 3 }, 0.5), 3);
});
