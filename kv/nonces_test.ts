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

Deno.test("of hundreds who ask at once, whoever repeats a nonce is told so, and nobody else", async () => {
  const clock = new FakeClock();
  using kv = await Deno.openKv(":memory:");
  const store = createKvNonces(kv, clock, { space: "test" });
  const untilMs = clock.wallNow() + 60_000;
  await Promise.all([3, 33, 333].map((number) => store.remember(`nonce ${number}`, untilMs)));
  const asked = Array.from({ length: 400 }, (_, number) => store.remember(`nonce ${number % 390}`, untilMs));
  const answers = await Promise.all(asked);
  const told = answers.flatMap((isNew, number) => isNew ? [] : [number % 390]);
  assertEquals(told.sort((a, b) => a - b), [0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 33, 333]);
});

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
