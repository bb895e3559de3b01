import { assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../protocol/errors.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { testStore } from "./fixtures/contract.ts";
import { nonceCases } from "./fixtures/nonces_contract.ts";
import { createKvNonces, createMemoryNonces } from "./nonces.ts";

testStore("nonces", {
  memory: (clock) => createMemoryNonces(clock),
  kv: (kv, clock) => createKvNonces(kv, clock, { space: "test" }),
}, nonceCases);

Deno.test("nonces in memory are never more than the bound, and room comes with time", async () => {
  const clock = new FakeClock();
  const store = createMemoryNonces(clock, { maxNonces: 2 });
  await store.remember("a", clock.wallNow() + 1000);
  await store.remember("b", clock.wallNow() + 5000);
  const error = await assertRejects(
    () => store.remember("c", clock.wallNow() + 1000),
    CulvertError,
    "at most 2, got 3",
  );
  assertEquals(error.code, "store_full");
  assertEquals(await store.remember("a", clock.wallNow() + 1000), false);
  clock.advance(1000);
  assertEquals(await store.remember("c", clock.wallNow() + 1000), true);
});
