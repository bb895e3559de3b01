import { assertEquals } from "@std/assert";
import { FakeClock } from "../../testing/fake_clock.ts";
import type { PortGuard } from "./guard.ts";
import { LingeringGuard } from "./lingering_guard.ts";

class FakeGuard implements PortGuard {
  readonly ports = [45_000];
  readonly way = "nft";
  isOver = false;
  heard: number | undefined = 0;

  heardPackets(): number | undefined {
    return this.heard;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.isOver = true;
    return Promise.resolve();
  }
}

/** One that has begun to end; `pass` lets a time pass and says whether the guard is over then. */
function ending({ lingers = true, heard = 0 as number | undefined }) {
  const guard = new FakeGuard(), clock = new FakeClock(), lingering = new LingeringGuard(guard, clock);
  guard.heard = heard;
  lingering.lingers = lingers;
  const ended = lingering[Symbol.asyncDispose]();
  const pass = async (timeMs: number) => {
    clock.advance(timeMs);
    // A few promises follow one another; nothing else is waited for.
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    return guard.isOver;
  };
  return { guard, lingering, ended, pass };
}

Deno.test("a guard stays for as long as a far end may go on, unless it need not", async () => {
  const long = ending({});
  assertEquals([await long.pass(14_999), await long.pass(1)], [false, true]);
  await long.ended;
  const none = ending({ lingers: false });
  await none.ended;
  assertEquals(none.guard.isOver, true);
});

Deno.test("who waits for it waits until nothing comes any more", async () => {
  const { guard, lingering, ended, pass } = ending({});
  assertEquals(await pass(100), false);
  lingering.hurry();
  await pass(0);
  guard.heard = 1;
  assertEquals([await pass(500), await pass(499), await pass(1)], [false, false, true]);
  await ended;
});

Deno.test("who waits does not wait for ever, and only a moment where it cannot be told what comes", async () => {
  const busy = ending({});
  busy.lingering.hurry();
  let passedMs = 0;
  for (await busy.pass(0); !busy.guard.isOver; passedMs += 500) {
    busy.guard.heard!++;
    await busy.pass(500);
  }
  await busy.ended;
  assertEquals(passedMs, 3000);
  const unknown = ending({ heard: undefined });
  unknown.lingering.hurry();
  await unknown.pass(0);
  assertEquals(await unknown.pass(500), true);
  await unknown.ended;
});
