import { assert, assertEquals } from "@std/assert";
import { Accounts } from "../../edge/orchestrator/access/accounts.ts";
import { createMemoryTable } from "../../kv/sharing/memory_table.ts";
import type { ClientSession } from "../../net/sharing/client_sessions.ts";
import { liveNode, NodeList } from "../../net/sharing/fixtures/live_node.ts";
import { silentLog } from "../../protocol/log.ts";
import { type User, userSchema } from "../../protocol/sharing/records.ts";
import type { AuditEvent } from "../../protocol/stored_records.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { DealingWatch } from "./dealing_watch.ts";

const MIB = 1024 ** 2;

async function openWatch() {
  const clock = new FakeClock();
  const users = createMemoryTable<User>(clock, { name: "users", schema: userSchema, id: ({ userId }) => userId });
  const accounts = new Accounts({ users, clock, random: new SeededRandom(1), tier: "basic" });
  const owner = (await accounts.create({ name: "an owner", roles: ["operator"] }))!;
  const client = (await accounts.create({ name: "a client", roles: [] }))!;
  const audited: AuditEvent[] = [];
  const sessions: ClientSession[] = [];
  const nodes = new NodeList(liveNode({ nodeId: "node", ownerId: owner.userId, address: "8.8.8.8" }));
  const watch = new DealingWatch({
    ...{ accounts, clock, log: silentLog, nodes },
    sessions: () => sessions,
    audit: (event) => Promise.resolve(audited.push(event)),
  });
  const use = (userId: string): ClientSession => {
    const session: ClientSession = {
      ...{ sessionId: `s${sessions.length}`, userId, nodeId: "node", virtualAddress: "fd63:756c:7665:7274::1" },
      ...{ startedAtMs: 0, upBytes: 0, downBytes: 0, streams: 1, openStreams: 1 },
    };
    sessions.push(session);
    return session;
  };
  return { clock, accounts, owner, client, audited, watch, use, nodes };
}

Deno.test("an owner who is most of the own traffic has payouts held, once, and the audit log says why", async () => {
  const { clock, accounts, owner, audited, watch, use } = await openWatch();
  using _watch = watch;
  const session = use(owner.userId);
  session.downBytes = 200 * MIB;
  await watch.look();
  assertEquals(audited, []);
  session.upBytes = 100 * MIB;
  await watch.look();
  await watch.look();
  const { payoutHold } = (await accounts.fresh(owner.userId))!.record;
  assertEquals(payoutHold?.untilMs, clock.wallNow() + 14 * 86_400_000);
  assert(payoutHold!.reason.includes("300 MiB"), payoutHold!.reason);
  assertEquals(audited.map(({ action, subject }) => [action, subject]), [["payout.held", owner.userId]]);
});

Deno.test("a client of another network is no matter, one of the node's own network is", async () => {
  const { accounts, owner, client, watch, use } = await openWatch();
  using _watch = watch;
  const holdOf = async () => (await accounts.fresh(owner.userId))!.record.payoutHold;
  const session = use(client.userId);
  watch.seen(client.userId, "198.51.100.1");
  session.downBytes = 300 * MIB;
  await watch.look();
  assertEquals(await holdOf(), undefined);
  watch.seen(client.userId, "8.8.8.77");
  session.downBytes = 900 * MIB;
  await watch.look();
  assert(await holdOf());
});

Deno.test("a node that is away whenever somebody looks hides nothing by it", async () => {
  const { accounts, owner, watch, use, nodes } = await openWatch();
  using _watch = watch;
  const session = use(owner.userId);
  session.downBytes = 300 * MIB;
  const away = nodes.list.splice(0);
  await watch.look();
  assertEquals((await accounts.fresh(owner.userId))!.record.payoutHold, undefined);
  nodes.list.push(...away);
  await watch.look();
  assert((await accounts.fresh(owner.userId))!.record.payoutHold);
});

Deno.test("a longer hold stays", async () => {
  const { clock, accounts, owner, watch, use } = await openWatch();
  using _watch = watch;
  const payoutHold = { untilMs: clock.wallNow() + 365 * 86_400_000, reason: "by hand" };
  await accounts.change(owner.userId, (user) => ({ ...user, payoutHold }));
  use(owner.userId).downBytes = 300 * MIB;
  await watch.look();
  assertEquals((await accounts.fresh(owner.userId))!.record.payoutHold, payoutHold);
});
