import { assertEquals } from "@std/assert";
import { silentLog } from "../../protocol/log.ts";
import { utcCalendar } from "../../protocol/sharing/calendar.ts";
import { parseSpan, Schedule } from "../../protocol/sharing/schedule.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import type { Battery } from "./battery.ts";
import type { Connection } from "./connection.ts";
import { type OwnerPause, ownerPause, SharingGuard } from "./guard.ts";
import { endOf, type PauseFacts, type PauseRules, pausesOf } from "./pauses.ts";
import type { UsageGate } from "./usage.ts";

const RULES: PauseRules = { minBatteryPercent: 50, sharesMetered: false };
const CABLE: Connection = { device: "eth0", kind: "ethernet", isMetered: false };
const HOUR_MS = 3_600_000;
/** A Thursday. */
const START_MS = Date.UTC(2026, 0, 1);

/** A machine whose state a test sets, and what became of its sharing. */
class Machine {
  readonly clock = new FakeClock(START_MS);
  battery: Battery | undefined;
  connection = CABLE;
  readonly usage: { -readonly [Part in keyof Pick<UsageGate, "spent" | "problem">]: UsageGate[Part] } & {
    recover(): Promise<void>;
  } = { spent: undefined, problem: undefined, recover: () => Promise.resolve() };
  cuts = 0;
  readonly shared = { closedBecause: "not begun" as string | undefined, cut: () => void this.cuts++ };
  readonly told: string[][] = [];

  async guard(spans?: readonly string[], owner?: OwnerPause): Promise<SharingGuard> {
    const { clock, usage, shared } = this;
    return await SharingGuard.start({
      rules: RULES,
      schedule: new Schedule((spans ?? []).map((span) => parseSpan(span)!), utcCalendar),
      usage,
      shared,
      readBattery: () => Promise.resolve(this.battery),
      readConnection: () => Promise.resolve(this.connection),
      clock,
      log: silentLog,
      onChange: (pauses) => void this.told.push(pauses.map(({ reason }) => reason)),
    }, owner);
  }
}

Deno.test("each rule pauses by itself, and says so in words", () => {
  const free: PauseFacts = {
    owner: undefined,
    spent: undefined,
    usageProblem: undefined,
    schedule: { isOpen: true },
    battery: undefined,
    isMetered: false,
  };
  const low = { percent: 49, isCharging: false };
  const table: [name: string, changed: Partial<PauseFacts>, reason: string | undefined, untilMs?: number][] = [
    ["nothing", {}, undefined],
    ["the owner", { owner: {} }, "owner"],
    ["the owner, for a while", { owner: { untilMs: 5 } }, "owner", 5],
    ["a day's cap", { spent: { cap: "day", untilMs: 6 } }, "daily_cap", 6],
    ["a month's cap", { spent: { cap: "month", untilMs: 7 } }, "monthly_cap", 7],
    ["the disk", { usageProblem: "full" }, "other"],
    ["the schedule", { schedule: { isOpen: false, untilMs: 8 } }, "schedule", 8],
    ["a metered connection", { isMetered: true }, "metered"],
    ["a low battery", { battery: low }, "battery"],
    ["a low battery that is charged", { battery: { ...low, isCharging: true } }, undefined],
    ["a good battery", { battery: { ...low, percent: 50 } }, undefined],
  ];
  for (const [name, changed, reason, untilMs] of table) {
    const [pause, ...more] = pausesOf(RULES, { ...free, ...changed });
    assertEquals([pause?.reason, pause?.untilMs, more], [reason, untilMs, []], name);
  }
  const careless = { minBatteryPercent: 0, sharesMetered: true };
  assertEquals(pausesOf(careless, { ...free, battery: { percent: 1, isCharging: false }, isMetered: true }), []);
  const justAbove = { ...free, battery: { percent: 52, isCharging: false } };
  assertEquals(pausesOf(RULES, justAbove, true).length, 1, "it does not flutter");
  assertEquals(pausesOf(RULES, justAbove, false).length, 0);
});

Deno.test("several pauses end with the last, or nobody knows when", () => {
  const pause = { reason: "other", text: "", graceMs: 0 } as const;
  assertEquals(endOf([]), undefined);
  assertEquals(endOf([{ ...pause, untilMs: 5 }, { ...pause, untilMs: 9 }]), 9);
  assertEquals(endOf([{ ...pause, untilMs: 5 }, pause]), undefined);
});

Deno.test("nothing is shared before the machine was looked at", async () => {
  const machine = new Machine();
  machine.connection = { device: "wwan0", kind: "mobile", isMetered: true };
  using guard = await machine.guard();
  assertEquals(guard.pauses.map(({ reason }) => reason), ["metered"]);
  assertEquals(machine.shared.closedBecause, "the connection is metered");
});

Deno.test("a schedule opens and closes on the minute, and what is open may end first", async () => {
  const machine = new Machine();
  using _guard = await machine.guard(["daily 22:00-06:00"]);
  assertEquals([machine.shared.closedBecause, machine.told], [undefined, [[]]]);
  await machine.clock.advanceAsync(6 * HOUR_MS);
  assertEquals([machine.shared.closedBecause, machine.cuts], ["the schedule does not allow it", 0]);
  await machine.clock.advanceAsync(60_000);
  assertEquals(machine.cuts, 1);
  await machine.clock.advanceAsync(16 * HOUR_MS - 60_000);
  assertEquals([machine.shared.closedBecause, machine.cuts], [undefined, 1]);
  assertEquals(machine.told, [[], ["schedule"], []]);
});

Deno.test("the battery and the connection are looked at again and again", async () => {
  const machine = new Machine();
  using guard = await machine.guard();
  machine.battery = { percent: 20, isCharging: false };
  await machine.clock.advanceAsync(30_000);
  assertEquals(guard.pauses.map(({ reason }) => reason), ["battery"]);
  machine.connection = { device: "wwan0", kind: "mobile", isMetered: true };
  await machine.clock.advanceAsync(30_000);
  assertEquals([guard.pauses.length, machine.cuts], [2, 1], "a metered byte costs money: cut at once");
  machine.battery = { percent: 20, isCharging: true };
  machine.connection = CABLE;
  await machine.clock.advanceAsync(30_000);
  assertEquals([guard.pauses, machine.shared.closedBecause, machine.cuts], [[], undefined, 1]);
  await machine.clock.advanceAsync(60_000);
  assertEquals(machine.cuts, 1, "nothing is cut once it is open again");
});

Deno.test("an owner's pause cuts at once, and ends by itself if it was for a while", async () => {
  const machine = new Machine();
  using guard = await machine.guard();
  guard.setOwnerPause(ownerPause(machine.clock.wallNow(), HOUR_MS));
  assertEquals([machine.shared.closedBecause, machine.cuts], ["you have paused it", 1]);
  await machine.clock.advanceAsync(HOUR_MS);
  assertEquals(machine.shared.closedBecause, undefined);
  guard.setOwnerPause({});
  await machine.clock.advanceAsync(1000 * HOUR_MS);
  assertEquals(guard.pauses.map(({ reason }) => reason), ["owner"]);
  guard.setOwnerPause(undefined);
  assertEquals(guard.pauses, []);
});

Deno.test("a pause that was written down holds from the start; nothing is left of a guard that ends", async () => {
  const machine = new Machine();
  {
    using guard = await machine.guard([], { untilMs: START_MS + HOUR_MS });
    assertEquals(guard.pauses.length, 1);
    machine.usage.spent = { cap: "day", untilMs: START_MS + 24 * HOUR_MS };
    guard.refresh();
    assertEquals(guard.pauses.map(({ reason }) => reason), ["owner", "daily_cap"]);
  }
  assertEquals(machine.clock.pendingTimers, 0);
});
