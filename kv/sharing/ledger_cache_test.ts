import { assertEquals } from "@std/assert";
import { LedgerBatch, neededBy } from "../../protocol/sharing/ledger_machine.ts";
import { client, topup } from "./fixtures/ledger_sets.ts";
import { LedgerCache } from "./ledger_cache.ts";
import { LedgerKeys } from "./ledger_keys.ts";
import { BatchPlaces, ledgerWrite } from "./ledger_writes.ts";

const MANY = 20_000;

/** A cache in which much was looked for, and then 100 more is being given to a client. */
function cacheWithUncommitted(): LedgerCache {
  const cache = new LedgerCache({ head: { sequence: 0, atMs: 0 }, versionstamp: null }, []);
  const set = topup("t", 100n);
  cache.addSet(set.id, undefined);
  for (const account of neededBy([set]).accounts) cache.addAccount(account, undefined);
  for (let number = 0; number < MANY; number++) cache.addSet(`other:${number}`, undefined);
  const batch = new LedgerBatch(cache, { atMs: 1, nextSequence: 0 });
  const places = new BatchPlaces(cache);
  batch.apply(set);
  places.add(set.id, batch.transfers);
  cache.addUncommitted(ledgerWrite(batch, { places, cache, keys: new LedgerKeys("test") }));
  return cache;
}

Deno.test("ledger cache: what is being committed counts for what is decided next, and not for who asks", () => {
  const cache = cacheWithUncommitted();
  assertEquals(cache.balance(client).creditsPosted, 100n);
  assertEquals(cache.committed(client)?.balance.creditsPosted, 0n);
  assertEquals([cache.at.head.sequence, cache.at.versionstamp], [1, null]);
  cache.committedAs("1");
  assertEquals(cache.committed(client)?.balance.creditsPosted, 100n);
  assertEquals([cache.at.head.sequence, cache.at.versionstamp], [1, "1"]);
});

Deno.test("ledger cache: it is small, and never forgets a set that is being committed", () => {
  const cache = cacheWithUncommitted();
  cache.trim();
  assertEquals(cache.set("t")?.length, 1);
  assertEquals([cache.knowsSet("other:0"), cache.knowsSet(`other:${MANY - 1}`)], [false, true]);
});
