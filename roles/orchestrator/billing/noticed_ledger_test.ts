import { assertEquals } from "@std/assert";
import { createMemoryLedger } from "../../../kv/sharing/memory_ledger.ts";
import { client, hold, otherClient, topup } from "../../../kv/sharing/fixtures/ledger_sets.ts";
import { FakeClock } from "../../../testing/fake_clock.ts";
import { noticedLedger } from "./noticed_ledger.ts";

Deno.test("whom a set has credited is told of, once, and nobody else", async () => {
  const clock = new FakeClock();
  const credited: string[] = [];
  const ledger = noticedLedger(createMemoryLedger(clock), (userId) => void credited.push(userId));
  await ledger.apply([topup("a", 100n), topup("a", 100n), topup("b", 5n, otherClient), topup("c", -1n)]);
  await ledger.apply([hold("h", 10n, clock.wallNow() + 1000)]);
  assertEquals(credited.map((userId) => `client:${userId}`), [client, otherClient]);
  assertEquals((await ledger.balance(client)).creditsPosted, 100n);
});
