import { assert, assertEquals } from "@std/assert";
import { CLOCK_TOLERANCE_MS, HelloMemory, HelloSender, MOST_OF_A_CLIENT } from "./hello_memory.ts";

Deno.test("what is remembered of a sender has a bound, which others do not feel, and is forgotten in time", () => {
  const memory = new HelloMemory(0);
  const [busy, quiet] = [new HelloSender(), new HelloSender()];
  for (let number = 0; number < MOST_OF_A_CLIENT; number++) {
    assertEquals(memory.take(`busy ${number}`, busy, { timeMs: 1000, nowMs: 1000 }), "right");
  }
  assertEquals(memory.take("one more", busy, { timeMs: 1000, nowMs: 1000 }), "many");
  assertEquals(memory.take("quiet", quiet, { timeMs: 1000, nowMs: 1000 }), "right");
  const nowMs = 1000 + CLOCK_TOLERANCE_MS;
  assert(memory.wasSeen("busy 0"));
  // As long as its time could be right, and no longer.
  assertEquals(memory.take("one more", busy, { timeMs: nowMs, nowMs }), "many");
  const laterMs = nowMs + 20_000;
  assertEquals(memory.take("one more", busy, { timeMs: laterMs, nowMs: laterMs }), "right");
  assert(!memory.wasSeen("busy 0"));
  assertEquals([busy.remembered, quiet.remembered, memory.size], [1, 0, 1 + 64 + 1]);
});

Deno.test("what was false is remembered so often and no more", () => {
  const memory = new HelloMemory(0);
  for (let number = 0; number < 9000; number++) memory.spoil(`false ${number}`);
  assertEquals(memory.size, 4096);
  assert(memory.wasSeen("false 8999"));
  assert(!memory.wasSeen("false 0"));
});
