import { assertEquals, assertRejects } from "@std/assert";
import { Changes, eventually, within } from "./waiting.ts";

Deno.test("what comes in time is given, and nothing is left behind", async () => {
  assertEquals(await within("a number", Promise.resolve(7)), 7);
  await assertRejects(() => within("a number", Promise.reject(new Error("no"))), Error, "no");
});

Deno.test("what does not come is named, with what there was instead", async () => {
  const never = new Promise<void>(() => {});
  const error = await assertRejects(() => within("a sign", never, { limitMs: 5, instead: () => "silence" }), Error);
  assertEquals(error.message, "Not within 5 ms: a sign\nsilence");
});

Deno.test("what can only be looked at is looked at until it holds, or it is too late", async () => {
  let looks = 0;
  await eventually("a third look", () => ++looks === 3);
  assertEquals(looks, 3);
  await assertRejects(() => eventually("rain", () => false, { limitMs: 5 }), Error, "Not within 5 ms: rain");
  await assertRejects(
    () => eventually("a look", () => new Promise(() => {}), { limitMs: 5 }),
    Error,
    "Not within 5 ms: a look",
  );
});

Deno.test("a change is enough to look again, for all who wait", async () => {
  const changes = new Changes();
  let count = 0;
  const reached = [1, 2].map((goal) => changes.until(() => count >= goal, `${goal} changes`));
  for (const _ of reached) {
    count++;
    changes.tell();
    await Promise.resolve();
  }
  await Promise.all(reached);
  await changes.until(() => count === 2, "what holds already");
});
