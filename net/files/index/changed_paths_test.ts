import { assertEquals } from "@std/assert";
import { FakeClock, settle } from "../../../testing/fake_clock.ts";
import { ChangedPaths } from "./changed_paths.ts";

Deno.test("what happens close together is looked at together, once it is quiet", async () => {
  const clock = new FakeClock();
  using changed = new ChangedPaths(clock);
  let looked: readonly string[] | undefined;
  void changed.next().then((paths) => looked = paths);
  changed.add(["a"]);
  await clock.advanceAsync(199);
  changed.add(["b", "a"]);
  await clock.advanceAsync(199);
  assertEquals(looked, undefined);
  await clock.advanceAsync(1);
  assertEquals(looked, ["a", "b"]);
});

Deno.test("who never stops is looked at all the same", async () => {
  const clock = new FakeClock();
  using changed = new ChangedPaths(clock);
  let looked: readonly string[] | undefined;
  void changed.next().then((paths) => looked = paths);
  for (let spentMs = 0; spentMs < 2000; spentMs += 100) {
    assertEquals(looked, undefined);
    changed.add(["log"]);
    await clock.advanceAsync(100);
  }
  assertEquals(looked, ["log"]);
});

Deno.test("of too many paths the whole folder is looked at", async () => {
  const clock = new FakeClock();
  using changed = new ChangedPaths(clock);
  changed.add(Array.from({ length: 5000 }, (_, number) => `${number}`));
  changed.add(["one more"]);
  await clock.advanceAsync(200);
  assertEquals(await changed.next(), [""]);
  assertEquals(changed.isEmpty, true);
});

Deno.test("at its end whoever waits is told so, and no timer is left", async () => {
  const clock = new FakeClock();
  const changed = new ChangedPaths(clock);
  changed.add(["a"]);
  const next = changed.next();
  changed[Symbol.dispose]();
  assertEquals(await next, undefined);
  changed.add(["b"]);
  await settle();
  assertEquals([clock.pendingTimers, await changed.next()], [0, undefined]);
});
