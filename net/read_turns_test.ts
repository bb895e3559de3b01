import { assertEquals } from "@std/assert";
import { FakeClock } from "../testing/fake_clock.ts";
import { type ReadTurn, ReadTurns } from "./read_turns.ts";

function queue(turns: ReadTurns, names: string) {
  const begun: string[] = [];
  const held = new Map<string, ReadTurn>();
  for (const name of names) {
    void (async () => {
      held.set(name, await turns.enter());
      begun.push(name);
    })();
  }
  return { begun, held };
}

Deno.test("so many read at once, and the others follow in their order", async () => {
  const clock = new FakeClock();
  const { begun, held } = queue(new ReadTurns(clock, 2), "abcd");
  await clock.advanceAsync(0);
  assertEquals(begun.join(""), "ab");
  held.get("b")!.leave();
  held.get("b")!.leave();
  await clock.advanceAsync(0);
  assertEquals(begun.join(""), "abc");
  held.get("a")!.leave();
  await clock.advanceAsync(0);
  assertEquals(begun.join(""), "abcd");
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("who reads nothing for a while keeps nobody waiting, and who reads is not passed over", async () => {
  const clock = new FakeClock();
  const turns = new ReadTurns(clock, 2);
  const { begun, held } = queue(turns, "abc");
  await clock.advanceAsync(1);
  held.get("a")!.touch();
  await clock.advanceAsync(1);
  assertEquals(begun.join(""), "abc");
  held.get("b")!.leave(); // it has lost its turn already
  const more = queue(turns, "d");
  await clock.advanceAsync(0);
  assertEquals(more.begun, []);
  for (const turn of held.values()) turn.leave();
  await clock.advanceAsync(0);
  assertEquals([more.begun, clock.pendingTimers], [["d"], 0]);
});
