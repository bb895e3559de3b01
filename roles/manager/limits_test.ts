import { assertEquals } from "@std/assert";
import { hasLimits, LimitWatch } from "./limits.ts";

const MIB = 2 ** 20;
const limits = { memoryBytes: 100 * MIB, openFiles: 10, cpuPercent: 150, overMs: 30_000 };
const modest = { memoryBytes: 100 * MIB, openFiles: 10, cpuPercent: 150 };

Deno.test("only what is above a limit all the time is too much", () => {
  const watch = new LimitWatch();
  const over = { ...modest, memoryBytes: 101.25 * MIB };
  assertEquals(watch.look(limits, over, 0), undefined);
  assertEquals(watch.look(limits, over, 29_999), undefined);
  assertEquals(watch.look(limits, over, 30_000), "It uses 101.3 MiB of memory, above 100 MiB of memory, for 30 s");
  assertEquals(watch.look(limits, modest, 31_000), undefined);
  assertEquals(watch.look(limits, over, 32_000), undefined);
  assertEquals(watch.look(limits, over, 61_000), undefined);
  watch.reset();
  assertEquals(watch.look(limits, over, 62_000), undefined);
});

Deno.test("each limit has its own time", () => {
  const watch = new LimitWatch();
  watch.look(limits, { ...modest, openFiles: 11 }, 0);
  assertEquals(watch.look(limits, { ...modest, cpuPercent: 199.6 }, 30_000), undefined);
  assertEquals(
    watch.look(limits, { ...modest, openFiles: 11, cpuPercent: 199.6 }, 60_000),
    "It uses 200 % of a core, above 150 % of a core, for 30 s",
  );
});

Deno.test("what is not limited or not known is never too much", () => {
  const watch = new LimitWatch();
  const { cpuPercent: _, ...unknown } = modest;
  assertEquals(watch.look({ ...limits, overMs: 0 }, unknown, 0), undefined);
  assertEquals(watch.look({ overMs: 0 }, { memoryBytes: 1e15, openFiles: 1e6, cpuPercent: 1e4 }, 0), undefined);
  assertEquals([hasLimits({ overMs: 0 }), hasLimits({ overMs: 0, openFiles: 1 })], [false, true]);
});
