import { assertEquals } from "@std/assert";
import { delay } from "../protocol/clock.ts";
import { EagerClock } from "./eager_clock.ts";

Deno.test("hours pass as soon as everybody waits, in order", async () => {
  const clock = new EagerClock();
  const seen: string[] = [];
  const wait = (name: string, ms: number) => delay(clock, ms).then(() => seen.push(`${name}@${clock.now()}`));
  await Promise.all([wait("b", 7_200_000), wait("a", 10).then(() => wait("c", 3_600_000))]);
  assertEquals(seen, ["a@10", "c@3600010", "b@7200000"]);
  await clock.idle();
});

Deno.test("idle settles at once when no timer is set, and after the last when some are", async () => {
  const clock = new EagerClock();
  await clock.idle();
  let fired = false;
  clock.after(5, () => fired = true);
  await clock.idle();
  assertEquals([fired, clock.now()], [true, 5]);
});
