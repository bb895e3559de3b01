import { assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../protocol/errors.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { createKvAudit } from "./audit.ts";
import { createKvQueues } from "./commands.ts";
import { testStore } from "./fixtures/contract.ts";
import { leaseCases } from "./fixtures/leases_contract.ts";
import { peerId, session } from "./fixtures/records.ts";
import { createKvLeases, createMemoryLeases } from "./leases.ts";
import { createKvNonces } from "./nonces.ts";
import { openKv } from "./open.ts";
import { createKvSessions } from "./sessions.ts";

testStore("leases", {
  memory: (clock) => createMemoryLeases(clock),
  kv: (kv, clock) => createKvLeases(kv, clock, { space: "test" }),
}, leaseCases);

/** Everything a supernode writes. */
function storesOf(kv: Deno.Kv, clock: FakeClock, fence: Deno.AtomicCheck | undefined) {
  const options = { space: "test", guard: { fence } };
  return {
    queues: createKvQueues(kv, clock, options),
    sessions: createKvSessions(kv, clock, options),
    nonces: createKvNonces(kv, clock, options),
    audit: createKvAudit(kv, clock, options),
  };
}

Deno.test("whoever has been overtaken writes nothing any more, whatever the store, and whoever came after does", async () => {
  using kv = await openKv(":memory:");
  const clock = new FakeClock();
  const leases = createKvLeases(kv, clock, { space: "test" });
  const older = storesOf(kv, clock, (await leases.take("older")).fence);
  const record = session(1, clock.wallNow());
  const snapshot = { version: 1 as const, nextSequence: 1, answeredThrough: 0, commands: [] };
  const untilMs = clock.wallNow() + 60_000;
  await older.sessions.save(record);
  await older.queues.save(peerId(1), snapshot);
  assertEquals(await older.nonces.remember("a", untilMs), true);
  assertEquals(await older.nonces.remember("a", untilMs), false);

  const newer = storesOf(kv, clock, (await leases.take("newer")).fence);
  const late = [
    () => older.sessions.save({ ...record, revision: record.revision + 1 }),
    () => older.queues.save(peerId(1), { ...snapshot, nextSequence: 9 }),
    () => older.queues.remove(peerId(1)),
    () => older.nonces.remember("b", untilMs),
    () => older.audit.append({ actor: "admin", action: "drain", outcome: "done" }),
  ];
  for (const write of late) {
    const error = await assertRejects(write, CulvertError, "another process has taken over");
    assertEquals(error.code, "store_fenced");
  }
  assertEquals(await newer.sessions.find(record.sessionId), record);
  assertEquals(await newer.queues.load(peerId(1)), snapshot);
  assertEquals(await newer.audit.list(), []);
  assertEquals(await newer.nonces.remember("b", untilMs), true);
  const next = { ...record, revision: record.revision + 1 };
  await newer.sessions.save(next);
  assertEquals(await newer.sessions.find(record.sessionId), next);
});

for (
  const [deed, change] of [
    ["cleared away", (kv: Deno.Kv) => kv.delete(["test", "lease"])],
    ["taken by a program that writes it otherwise", (kv: Deno.Kv) => kv.set(["test", "lease"], "mine")],
  ] as const
) {
  Deno.test(`a lease that is ${deed} is lost as well, and its holder hears of it`, async () => {
    using kv = await openKv(":memory:");
    const lease = await createKvLeases(kv, new FakeClock(), { space: "test" }).take("one");
    const lost = lease.lost(new AbortController().signal);
    await change(kv);
    assertEquals((await lost)?.holder, "somebody unknown");
  });
}
