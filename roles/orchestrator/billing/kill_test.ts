import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { createKvLeases } from "../../../kv/leases.ts";
import { openKv } from "../../../kv/open.ts";
import { createKvLedger } from "../../../kv/sharing/kv_ledger.ts";
import { clockOf } from "../../../protocol/clock.ts";
import { available, clientAccount, type LedgerStore } from "../../../protocol/sharing/ledger.ts";
import { chargeOf } from "../../../protocol/sharing/prices.ts";
import { Program } from "../../../testing/program.ts";
import { SeededRandom } from "../../../testing/seeded_random.ts";
import { TempDirectory } from "../../../testing/temp_directory.ts";
import { BOOTH, CLIENT, fare, fund, PRICE } from "./fixtures/booth.ts";
import { LedgerTollBooth } from "./toll_booth.ts";

const boothProcess = fromFileUrl(import.meta.resolve("./fixtures/booth_process.ts"));
const TICK_MS = 1000;
/** What timers of a busy machine are late by. */
const LATE_MS = 500;
const MONEY = 10_000_000_000n;

interface Line {
  readonly delivered: number;
  readonly atMs: number;
}

/** The ledger as this process has it, once no other writes there any more. */
async function withLedger<T>(path: string, use: (ledger: LedgerStore) => Promise<T>): Promise<T> {
  using kv = await openKv(path);
  const clock = clockOf(globalThis);
  const { fence } = await createKvLeases(kv, clock, { space: "test" }).take("test");
  return await use(createKvLedger(kv, clock, { space: "test", guard: { fence } }));
}

function startBooth(path: string, bytes: number): Program {
  const args = [boothProcess, path, String(TICK_MS), String(bytes)];
  return new Program([Deno.execPath(), "run", "-A", "--unstable-kv", ...args]);
}

/** Lets it deliver for some time, kills it, and gives every line it got out. */
async function runAndKill(path: string, forMs: number): Promise<Line[]> {
  await using program = startBooth(path, Infinity);
  const lines = [await program.readJson() as unknown as Line];
  while (lines.at(-1)!.atMs - lines[0]!.atMs < forMs) lines.push(await program.readJson() as unknown as Line);
  program.crash();
  // What was in the pipe was delivered as well.
  for (;;) {
    const line = await program.readJson().catch(() => undefined);
    if (!line) return lines;
    lines.push(line as unknown as Line);
  }
}

Deno.test("a kill -9 of an orchestrator loses at most a tick's revenue, charges nothing twice and leaves nothing held", async () => {
  using temp = new TempDirectory();
  const path = temp.path("store.db");
  await withLedger(path, (ledger) => fund(ledger, MONEY, CLIENT));
  let most = 0n;
  let least = 0n;
  for (const forMs of [700, 1750, 2400]) {
    const lines = await runAndKill(path, forMs);
    const last = lines.at(-1)!;
    const before = lines.findLast(({ atMs }) => last.atMs - atMs > TICK_MS + LATE_MS);
    most += chargeOf(last.delivered, PRICE);
    least += chargeOf(before?.delivered ?? 0, PRICE);
    await withLedger(path, async (ledger) => {
      const { debitsPosted, creditsPosted, debitsPending } = await ledger.balance(clientAccount(CLIENT));
      assert(debitsPosted <= most, `charged twice: ${debitsPosted} of ${most}`);
      assert(debitsPosted >= least - 3n, `more than a tick is lost: ${debitsPosted} of ${least} at least`);
      assertEquals(creditsPosted, MONEY);
      assert(debitsPending > 0n, "it was killed while it held something");
      const totals = await ledger.totals();
      assertEquals([totals.debitsPosted, totals.debitsPending], [totals.creditsPosted, totals.creditsPending]);
    });
  }
  assert(least > 0n, "there was something to lose");
  await withLedger(path, async (ledger) => {
    const deps = { ledger, clock: clockOf(globalThis), random: new SeededRandom(1), name: BOOTH, priceOf: () => PRICE };
    await using booth = new LedgerTollBooth(deps);
    (await booth.open(fare()))[Symbol.dispose]();
    await booth.close();
    const balance = await ledger.balance(clientAccount(CLIENT));
    assertEquals([balance.debitsPending, available(balance)], [0n, MONEY - balance.debitsPosted]);
  });
});

Deno.test("an orchestrator that is stopped charges to the last byte", async () => {
  using temp = new TempDirectory();
  const path = temp.path("store.db");
  await withLedger(path, (ledger) => fund(ledger, MONEY, CLIENT));
  await using program = startBooth(path, 50_000_000);
  let line = await program.readJson();
  while (line.closed !== true) line = await program.readJson();
  await withLedger(path, async (ledger) => {
    const balance = await ledger.balance(clientAccount(CLIENT));
    assertEquals(balance.debitsPending, 0n);
    assertEquals(balance.debitsPosted, chargeOf(Number(line.delivered), PRICE));
  });
});
