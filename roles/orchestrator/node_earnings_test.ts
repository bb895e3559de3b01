import { assertEquals, assertRejects } from "@std/assert";
import { createMemoryLedger } from "../../kv/sharing/memory_ledger.ts";
import { clientAccount, FEES_ACCOUNT, operatorAccount, paymentsAccount } from "../../protocol/sharing/ledger.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { NodeEarnings } from "./node_earnings.ts";

const owner = "owner2222222";
const client = clientAccount("client222222");

async function openEarnings() {
  const clock = new FakeClock(Date.UTC(2026, 0, 1, 23));
  const ledger = createMemoryLedger(clock);
  let count = 0;
  const move = async (debit: string, credit: string, amount: bigint, node?: string) => {
    const id = `set-${count++}`;
    const reason = node === undefined ? "topup" as const : "traffic" as const;
    const memo = node === undefined ? undefined : { node, up: 100, down: 900 };
    const [outcome] = await ledger.apply([{
      id,
      transfers: [{ id: `${id}/move`, debit, credit, amount, reason, memo, phase: "posted" }],
    }]);
    assertEquals(outcome?.status, "applied", outcome?.detail);
  };
  await move(paymentsAccount("test"), client, 1_000_000n);
  const earn = (node: string, amount: bigint) => move(client, operatorAccount(owner), amount, node);
  return { clock, ledger, move, earn, earnings: new NodeEarnings(ledger, clock) };
}

Deno.test("each node has its own sums, and the owner's balance is the ledger's", async () => {
  const { earn, move, earnings } = await openEarnings();
  await earn("a", 500n);
  await earn("a", 20n);
  await earn("b", 3n);
  await move(client, FEES_ACCOUNT, 100n, "a");
  await move(operatorAccount(owner), paymentsAccount("test"), 23n);
  const { asOfMs: _, ...figures } = await earnings.of("a", owner);
  assertEquals(figures, {
    balanceMicros: "500",
    pendingMicros: "0",
    earnedMicros: "520",
    earnedTodayMicros: "520",
    paidBytes: 2000,
  });
  assertEquals((await earnings.of("c", owner)).earnedMicros, "0");
});

Deno.test("only rows that are new are read again, each once, however often it is asked", async () => {
  const { earn, ledger, clock } = await openEarnings();
  let rows = 0;
  const earnings = new NodeEarnings({
    balance: (account) => ledger.balance(account),
    async transfers(account, page) {
      const found = await ledger.transfers(account, page);
      rows += found.length;
      return found;
    },
  }, clock);
  for (let count = 0; count < 2500; count++) await earn("a", 1n);
  assertEquals((await earnings.of("a", owner)).earnedMicros, "2500");
  rows = 0;
  await earn("a", 1n);
  const figures = await Promise.all([earnings.of("a", owner), earnings.of("a", owner)]);
  assertEquals(figures.map(({ earnedMicros }) => earnedMicros), ["2501", "2501"]);
  assertEquals(rows, 1000);
});

Deno.test("at midnight a new day begins", async () => {
  const { earn, earnings, clock } = await openEarnings();
  await earn("a", 5n);
  await earnings.of("a", owner);
  clock.advance(2 * 3_600_000);
  await earn("a", 7n);
  const { earnedMicros, earnedTodayMicros } = await earnings.of("a", owner);
  assertEquals([earnedMicros, earnedTodayMicros], ["12", "7"]);
});

Deno.test("a reading that fails half way is begun anew, and counts nothing twice", async () => {
  const { earn, ledger, clock } = await openEarnings();
  let reads = 0;
  const earnings = new NodeEarnings({
    balance: (account) => ledger.balance(account),
    transfers: (account, page) =>
      ++reads === 2 ? Promise.reject(new Error("no database")) : ledger.transfers(account, page),
  }, clock);
  for (let count = 0; count < 1500; count++) await earn("a", 1n);
  await assertRejects(() => earnings.of("a", owner), Error, "no database");
  assertEquals((await earnings.of("a", owner)).earnedMicros, "1500");
});
