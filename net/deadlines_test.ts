import { assertEquals } from "@std/assert";
import { FakeClock } from "../testing/fake_clock.ts";
import { Deadlines } from "./deadlines.ts";

Deno.test("items fall due in the order they were added, each at its time", () => {
  const clock = new FakeClock();
  const expired: [string, number][] = [];
  using deadlines = new Deadlines<string>(clock, 100, (item) => expired.push([item, clock.now()]));
  deadlines.add("a");
  clock.advance(10);
  for (const item of ["b", "c"]) deadlines.add(item);
  clock.advance(10);
  deadlines.add("a");
  deadlines.delete("c");
  clock.advance(1_000);
  assertEquals(expired, [["b", 110], ["a", 120]]);
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("items that are added again as they expire keep one timer between them, and none afterwards", () => {
  const clock = new FakeClock();
  const deadlines: Deadlines<string> = new Deadlines(clock, 100, (item) => deadlines.add(item));
  for (const item of ["a", "b", "c"]) {
    deadlines.add(item);
    clock.advance(7);
  }
  for (let round = 0; round < 20; round++) {
    clock.advance(100);
    assertEquals(clock.pendingTimers, 1);
  }
  deadlines[Symbol.dispose]();
  assertEquals(clock.pendingTimers, 0);
});
