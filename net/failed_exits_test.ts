import { assertEquals } from "@std/assert";
import { FakeClock } from "../testing/fake_clock.ts";
import { FailedExits } from "./failed_exits.ts";

Deno.test("an exit that has failed is not wanted for a minute, from its last failure on", async () => {
  const clock = new FakeClock();
  const failed = new FailedExits(clock);
  for (const exit of ["a", "b"]) failed.add(exit);
  await clock.advanceAsync(30_000);
  failed.add("a");
  assertEquals(failed.list(), ["b", "a"]);
  await clock.advanceAsync(30_000);
  assertEquals(failed.list(), ["a"]);
});

Deno.test("where there is no other, all are wanted again but the last, then the last too", () => {
  const failed = new FailedExits(new FakeClock());
  for (const exit of ["a", "b", "c"]) failed.add(exit);
  assertEquals([failed.forgive(), failed.list()], [true, ["c"]]);
  assertEquals([failed.forgive(), failed.list()], [true, []]);
  assertEquals(failed.forgive(), false);
});

Deno.test("of too many the one that failed longest ago is forgotten", () => {
  const failed = new FailedExits(new FakeClock());
  for (let exit = 0; exit < 65; exit++) failed.add(`${exit}`);
  assertEquals([failed.list().length, failed.list()[0]], [64, "1"]);
});
