import { assertEquals } from "@std/assert";
import { createMemoryMailboxes } from "../../kv/mailbox.ts";
import { silentLog } from "../../protocol/log.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { Elsewhere } from "./elsewhere.ts";

Deno.test("a listener is looked for on, though the store has failed", async () => {
  const clock = new FakeClock();
  const memory = createMemoryMailboxes(clock);
  let isDown = true;
  const store = Object.assign(memory, {
    whereIs: ((whereIs) => (alias: string) => isDown ? Promise.reject(new Error("gone")) : whereIs(alias))(
      memory.whereIs.bind(memory),
    ),
  });
  const found: [string, boolean][] = [];
  await using elsewhere = new Elsewhere({
    store,
    place: "here",
    clock,
    log: silentLog,
    onPost() {},
    onMoved() {},
    onPlace: (alias, isElsewhere) => void found.push([alias, isElsewhere]),
    onDropped() {},
  });
  await store.listen("ada", "there");
  elsewhere.lookFor("ada");
  await clock.advanceAsync(1000);
  assertEquals([found, elsewhere.problem], [[], "gone"]);
  isDown = false;
  await clock.advanceAsync(1000);
  assertEquals([found, elsewhere.problem], [[["ada", true]], undefined]);
  // It has ended, and begins again.
  elsewhere.lookFor("ada");
  await clock.advanceAsync(1000);
  assertEquals(found.length, 2);
});
