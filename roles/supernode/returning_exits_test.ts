import { assertEquals } from "@std/assert";
import { peerId } from "../../kv/fixtures/records.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { ReturningExits } from "./returning_exits.ts";

const EXIT = peerId(100);

/** Two that wait for the same exit: whether they still do, and whom was given up. */
function setUp() {
  const clock = new FakeClock();
  const missing: string[] = [];
  const returning = new ReturningExits(clock, (exitPeerId) => missing.push(exitPeerId));
  returning.expect(EXIT);
  let waiting = 2;
  for (let each = 0; each < 2; each++) void returning.wait(EXIT).then(() => waiting--);
  return { clock, returning, missing, waiting: () => waiting };
}

Deno.test("who waits for an exit goes on when it is back", async () => {
  const { clock, returning, missing, waiting } = setUp();
  await clock.advanceAsync(5_000);
  assertEquals([waiting(), returning.has(EXIT)], [2, true]);
  returning.came(EXIT);
  await settle();
  assertEquals([waiting(), returning.has(EXIT)], [0, false]);
  await clock.advanceAsync(60_000);
  assertEquals(missing, []);
});

Deno.test("an exit that does not come back is told of once, and nobody waits for it any more", async () => {
  const { clock, returning, missing, waiting } = setUp();
  await clock.advanceAsync(15_000);
  assertEquals([missing, waiting(), returning.has(EXIT)], [[EXIT], 0, false]);
});

Deno.test("an exit that is not awaited is not waited for, and nobody waits after the end", async () => {
  const { returning, waiting } = setUp();
  await returning.wait(peerId(101));
  returning[Symbol.dispose]();
  await settle();
  assertEquals(waiting(), 0);
});
