import { assert, assertEquals } from "@std/assert";
import { silentLog } from "../../protocol/log.ts";
import { utcCalendar as calendar } from "../../protocol/sharing/calendar.ts";
import { type CapLimits, DataCaps, type Usage } from "../../protocol/sharing/data_caps.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { UsageGate } from "./usage.ts";

const KIB = 1024;
const PIECE_BYTES = 64 * KIB;

/** A disk that keeps the last write, may fail, and may hold writes back. */
class Disk {
  usage: Usage | undefined;
  failure: Error | undefined;
  held: Promise<void> | undefined;
  writes = 0;

  async write(usage: Usage): Promise<void> {
    this.writes++;
    await this.held;
    if (this.failure) throw this.failure;
    this.usage = usage;
  }
}

function rig(limits: CapLimits, disk = new Disk()) {
  const clock = new FakeClock();
  const caps = new DataCaps(limits, { calendar, nowMs: clock.wallNow(), usage: disk.usage });
  const told = { changes: 0 };
  const gate = new UsageGate({
    caps,
    write: (usage) => disk.write(usage),
    clock,
    log: silentLog,
    onChange: () => void told.changes++,
  });
  return { clock, disk, gate, told };
}

/** Takes in pieces until there is no more, and gives how much that was. */
async function drink(gate: UsageGate, thirstBytes: number): Promise<number> {
  let drunk = 0;
  while (drunk < thirstBytes) {
    const bytes = Math.min(PIECE_BYTES, gate.leftBytes, thirstBytes - drunk);
    if (bytes === 0 || !await gate.take(bytes)) return drunk;
    drunk += bytes;
  }
  return drunk;
}

Deno.test("to the last byte of a cap, and after a kill never beyond it", async () => {
  const limits = { dayBytes: 2000 * KIB };
  const first = rig(limits);
  const before = await drink(first.gate, 700 * KIB);
  assertEquals(before, 700 * KIB);
  const second = rig(limits, first.disk); // the first was killed: nobody has closed it
  const after = await drink(second.gate, Infinity);
  assert(before + after <= 2000 * KIB);
  assert(before + after >= (2000 - 256) * KIB);
  assertEquals(second.gate.spent?.cap, "day");
  assert(second.told.changes > 0);
});

Deno.test("after a clean end not a byte is lost", async () => {
  const limits = { dayBytes: 2000 * KIB };
  const first = rig(limits);
  await drink(first.gate, 700 * KIB);
  await first.gate[Symbol.asyncDispose]();
  assertEquals(await first.gate.take(1), false);
  assertEquals(await drink(rig(limits, first.disk).gate, Infinity), 1300 * KIB);
});

Deno.test("the disk is asked once for many pieces, and ahead of them", async () => {
  const { gate, disk } = rig({});
  await drink(gate, 20 * 1024 * KIB);
  assert(disk.writes <= 4);
  assert(disk.usage!.totalBytes > 20 * 1024 * KIB);
  assertEquals(gate.take(1), true);
});

Deno.test("nothing passes before it is written, and all that wait go on together", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { gate, disk } = rig({ dayBytes: 1000 * KIB });
  disk.held = promise;
  const takes = [gate.take(PIECE_BYTES), gate.take(PIECE_BYTES)];
  assert(takes.every((take) => take instanceof Promise));
  assertEquals(gate.usage.totalBytes, 0);
  resolve();
  assertEquals(await Promise.all(takes), [true, true]);
  assertEquals([gate.usage.totalBytes, disk.writes], [2 * PIECE_BYTES, 1]);
});

Deno.test("a disk that takes no more ends the sharing until it does", async () => {
  const { gate, disk, told } = rig({});
  disk.failure = new Error("No space left on device");
  assertEquals(await gate.take(1), false);
  assertEquals([gate.problem, gate.leftBytes, told.changes], ["No space left on device", 0, 1]);
  await gate.recover();
  assertEquals(told.changes, 1);
  disk.failure = undefined;
  await gate.recover();
  assertEquals([gate.problem, told.changes], [undefined, 2]);
  assertEquals(await gate.take(1), true);
});

Deno.test("what is given back after a cap was spent waits for the next day", async () => {
  const { gate, clock } = rig({ dayBytes: 500 * KIB });
  assertEquals(await drink(gate, Infinity), 500 * KIB);
  gate.give(10 * KIB);
  assertEquals([gate.leftBytes, await gate.take(1), gate.spent?.cap], [0, false, "day"]);
  clock.advance(24 * 3_600_000);
  assertEquals([gate.spent, gate.leftBytes], [undefined, 500 * KIB]);
  assertEquals(await gate.take(1), true);
});
