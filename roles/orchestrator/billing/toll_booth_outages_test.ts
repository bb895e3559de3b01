import { assertEquals, assertRejects } from "@std/assert";
import { DialError } from "../../../protocol/errors.ts";
import type { LedgerStore } from "../../../protocol/sharing/ledger.ts";
import { BoothRig, fare, MIB } from "./fixtures/booth.ts";

const MIB_MICROS = 1000n;

/** A ledger that can be held up, or taken away. */
function troubled(ledger: LedgerStore): LedgerStore & { gate: Promise<void> | undefined; isGone: boolean } {
  const trouble = {
    ...{ gate: undefined as Promise<void> | undefined, isGone: false },
    async apply(sets: Parameters<LedgerStore["apply"]>[0]) {
      if (trouble.isGone) throw new Error("no route to the database");
      await trouble.gate;
      return await ledger.apply(sets);
    },
    balance: (account: string) => ledger.balance(account),
    totals: () => ledger.totals(),
    transfer: (id: string) => ledger.transfer(id),
    transfers: (account: string) => ledger.transfers(account),
    pendingLeft: (id: string) => ledger.pendingLeft(id),
    pending: (account: string) => ledger.pending(account),
    expire: (limit?: number) => ledger.expire(limit),
  };
  return trouble;
}

/** A client with money and a stream, at a booth whose ledger may be in trouble. */
async function openInTrouble() {
  let trouble!: ReturnType<typeof troubled>;
  const rig = new BoothRig({}, (ledger) => trouble = troubled(ledger));
  await rig.fund(1_000_000n);
  return { rig, trouble, toll: await rig.booth.open(fare()) };
}

Deno.test("while the ledger is slow nothing passes beyond a tick's worth, and then it goes on", async () => {
  const { rig, trouble, toll } = await openInTrouble();
  toll.allow(MIB);
  toll.passed("down", MIB, MIB);
  const { promise, resolve } = Promise.withResolvers<void>();
  trouble.gate = promise;
  await rig.clock.advanceAsync(1000);
  assertEquals(toll.allow(1000), 1000);
  toll.passed("down", 1000, 1000);
  await rig.clock.advanceAsync(1000);
  assertEquals(toll.allow(1000), 0);
  const refill = toll.refill();
  resolve();
  trouble.gate = undefined;
  assertEquals(await refill, true);
  assertEquals(toll.allow(1000), 1000);
  toll[Symbol.dispose]();
  await rig.close();
  assertEquals(await rig.charged(), MIB_MICROS);
});

Deno.test("a stream that waits for a ledger that does not answer is cut with that reason, and so is one that opens", async () => {
  const { rig, trouble, toll } = await openInTrouble();
  toll.allow(MIB);
  toll.passed("down", MIB, MIB);
  trouble.isGone = true;
  await rig.clock.advanceAsync(2000);
  assertEquals(await rig.clock.runUntil(toll.refill()), false);
  assertEquals(toll.cut.reason.code, "path_down");
  const opening = rig.booth.open(fare());
  const error = await assertRejects(() => rig.clock.runUntil(opening, 60_000), DialError);
  assertEquals(error.code, "path_down");
  trouble.isGone = false;
  toll[Symbol.dispose]();
  await rig.close();
  assertEquals(await rig.charged(), MIB_MICROS);
});

Deno.test("what was delivered before the ledger went away for minutes is charged once, when it has come back", async () => {
  const { rig, trouble, toll } = await openInTrouble();
  toll.allow(MIB);
  toll.passed("down", MIB, MIB);
  trouble.isGone = true;
  await rig.clock.advanceAsync(180_000);
  assertEquals(toll.allow(1000), 0);
  trouble.isGone = false;
  await rig.clock.advanceAsync(10_000);
  assertEquals(await rig.charged(), MIB_MICROS);
  toll[Symbol.dispose]();
  await rig.close();
  assertEquals([await rig.charged(), await rig.held()], [MIB_MICROS, 0n]);
});

Deno.test("a booth closes in time although the ledger hangs", async () => {
  const { rig, trouble, toll } = await openInTrouble();
  toll.allow(MIB);
  toll.passed("down", MIB, MIB);
  trouble.gate = new Promise(() => {});
  await rig.clock.runUntil(rig.booth.close(), 12_000);
  assertEquals([toll.cut.aborted, rig.clock.pendingTimers], [true, 0]);
});
