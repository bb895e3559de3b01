/**
 * From consent to payout, with every part a process of its own and curl as the program: an admin opens the house, an owner
 * adds two nodes, a client pays in and uses them, the owner is paid out, and the books are right at every step. Once on Deno
 * KV and once on PostgreSQL with Redis.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import * as api from "../../edge/orchestrator/api.ts";
import { parseMicros } from "../../protocol/sharing/money.ts";
import { POSTGRES_NEEDS, PostgresServer } from "../../testing/postgres_server.ts";
import { REDIS_NEEDS, RedisServer } from "../../testing/redis_server.ts";
import { type Needs, requires, withNeeds } from "../../testing/requirements.ts";
import { eventually, PATIENCE_MS } from "../../testing/waiting.ts";
import { paidSession, stripeHeader } from "../../protocol/sharing/payments/fixtures/webhooks.ts";
import { type Fetched, type Person, SharingWorld } from "./fixtures/sharing_world.ts";

const MIB = 1024 ** 2;
/** What a MiB costs, in millionths. */
const PER_MIB = 50_000_000n / 1024n;
const TIME_LIMIT_MS = 240_000;
/** A hold lives for a minute, and the expired are looked for every quarter of one. */
const HELD_MS = 60_000 + 15_000 + PATIENCE_MS;
const WEBHOOK_SECRET = "whsec_scenario";
const FLAGS = [
  ...["--price", "50.00", "--fee-percent", "20", "--tick", "200ms", "--payout-wait", "0", "--smallest-payout", "0.01"],
  ...["--stripe-key", "sk_test_scenario", "--stripe-webhook-secret", WEBHOOK_SECRET],
];

/** A site that answers so many bytes for each path `/bytes/<count>`. */
function openSite() {
  const chunk = new Uint8Array(64 * 1024);
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    let left = Number(new URL(request.url).pathname.slice("/bytes/".length));
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        const piece = chunk.subarray(0, Math.min(left, chunk.length));
        left -= piece.length;
        if (piece.length > 0) controller.enqueue(piece);
        if (left === 0) controller.close();
      },
    });
    return new Response(body);
  });
  const url = (bytes: number) => `http://127.0.0.1:${server.addr.port}/bytes/${bytes}`;
  return { url, [Symbol.asyncDispose]: () => server.shutdown() };
}

async function payIn(world: SharingWorld, { userId }: Person, cents: number, eventId: string): Promise<number> {
  const object = paidSession({
    id: `cs_${eventId}`,
    payment_intent: `pi_${eventId}`,
    amount_total: cents,
    metadata: { culvert_user: userId },
  });
  const atMs = Date.now();
  const created = Math.floor(atMs / 1000);
  const type = "checkout.session.completed";
  const body = JSON.stringify({ id: eventId, object: "event", created, livemode: false, type, data: { object } });
  const response = await fetch(`${world.site}/v1/payments/stripe`, {
    method: "POST",
    headers: { "stripe-signature": stripeHeader(body, { secret: WEBHOOK_SECRET, atMs }) },
    body,
  });
  await response.body?.cancel();
  return response.status;
}

/** The sum of what rows moved, for one reason; what is only held does not count. */
async function moved(person: Person, reason: string, side: "client" | "operator"): Promise<bigint> {
  const { rows } = await person.ask(api.getStatement, { query: { side, limit: "1000" } });
  return rows.filter((row) => row.reason === reason && !row.isPending)
    .reduce((sum, { amount }) => sum + parseMicros(amount)!, 0n);
}

interface Houses {
  readonly flags: readonly string[];
}

async function playScenario({ flags }: Houses): Promise<void> {
  await using site = openSite();
  await using world = await SharingWorld.start({ flags: [...FLAGS, ...flags] });
  const { admin } = world;
  const owner = await world.invite("Olu, the owner", ["operator"]);
  const client = await world.invite("Cleo, the client");

  // Two nodes, each with a code; consent is given by --yes and is on record.
  for (const name of ["node-1", "node-2"]) {
    const { code } = await owner.ask(api.enrolNode, { body: { label: name } });
    await world.startNode(name, ["--code", code, "--country", "de", "--region", "eu"]);
  }
  const { nodes } = await owner.ask(api.listNodes);
  assertEquals(
    nodes.map(({ label, standing, consentVersion, live }) => [label, standing, consentVersion, live?.isOpen]).sort(),
    [
      ["node-1", "probation", "1", true],
      ["node-2", "probation", "1", true],
    ],
  );

  // Without money: 402, whatever the dialect.
  const { secret } = await client.ask(api.newProxySecret, { body: {} });
  const login = `${client.userId}:${secret}`;
  const unpaid = await world.curl(login, site.url(1), "-x", `http://${login}@${world.proxy}`, "-p");
  assertEquals(unpaid.connect, 402, unpaid.said);

  // Money comes in by a webhook, once however often it is told.
  assertEquals(await payIn(world, client, 1000, "evt_1"), 200);
  assertEquals(await payIn(world, client, 1000, "evt_1"), 200);
  const paidIn = await client.ask(api.getBalance);
  assertEquals(paidIn.available, "10.00");

  // 64 MiB through a node in Germany, then through the same node again by a session.
  const first = await world.curl(login, site.url(64 * MIB));
  assertEquals([first.status, first.bytes], [200, 64 * MIB], first.said);
  const sticky = `${client.userId}-country-de-session-a1:${secret}`;
  for (let turn = 0; turn < 2; turn++) assertEquals((await world.curl(sticky, site.url(MIB))).bytes, MIB);
  assertEquals((await world.curl(`${client.userId}-country-fr:${secret}`, site.url(1))).exit, 97);
  assertEquals((await world.curl(`${client.userId}-planet-mars:${secret}`, site.url(1))).exit, 97);

  // The books: what the client paid is what the owner and the house got, to the last millionth.
  const charged = async () => -await moved(client, "traffic", "client") - await moved(client, "fee", "client");
  const least = 66n * PER_MIB;
  await eventually("all of it is charged", async () => await charged() >= least);
  const [paid, earned] = [await charged(), await moved(owner, "traffic", "operator")];
  assert(paid < least + PER_MIB, `${paid} was charged for ${least}`);
  const { houseFees } = await books(admin);
  assertEquals(paid, earned + houseFees);
  assert(earned >= paid * 79n / 100n && earned <= paid * 81n / 100n, `${earned} of ${paid}`);
  const usage = await client.ask(api.getUsage);
  const bytes = usage.points.reduce((sum, { downBytes }) => sum + downBytes, 0);
  assert(bytes >= 66 * MIB && bytes < 67 * MIB, `${bytes}`);

  // A node goes, and the other takes over.
  assertEquals(await world.stopNode("node-1"), 0);
  assertEquals((await world.curl(login, site.url(MIB))).bytes, MIB);

  // The orchestrator is killed in the middle of a download. What was charged stays, nothing is charged twice.
  // So slowly that there is money left however long it takes to be seen.
  const cut = world.curl(login, site.url(1024 * MIB), "--limit-rate", "1M");
  const beforeMicros = await charged();
  await eventually("it is being charged", async () => await charged() > beforeMicros);
  await world.killOrchestrator();
  assert((await cut).exit !== 0);
  assertEquals(await world.startOrchestrator(), undefined);
  // On PostgreSQL other processes may be charging as well, so what the killed one held comes back only when it expires.
  let fetched: Fetched | undefined;
  await eventually("the node is back", async () => {
    fetched = await world.curl(login, site.url(MIB));
    return fetched.bytes === MIB;
  }, { limitMs: HELD_MS, instead: () => JSON.stringify(fetched) });
  const booked = await books(admin);
  assertEquals(booked.isBalanced, true);
  assert(parseMicros((await client.ask(api.getBalance)).available)! >= 0n);

  // Until the money has come to its end: no byte beyond a MiB of it.
  const { available, held } = await client.ask(api.getBalance);
  const left = parseMicros(available)! + parseMicros(held)!;
  const affordable = Number(left) / Number(PER_MIB) * MIB;
  const last = await world.curl(login, site.url(1024 * MIB));
  assert(last.exit !== 0 && last.bytes <= affordable + MIB, `${last.bytes} of ${affordable}`);
  await eventually("all is spent", async () => {
    return parseMicros((await client.ask(api.getBalance)).available)! < PER_MIB;
  });

  // The owner is paid out.
  const { earned: toPay } = await owner.ask(api.getBalance);
  const amount = "1.50";
  assert(parseMicros(toPay)! > parseMicros(amount)!, toPay);
  const payout = await owner.ask(api.requestPayout, { body: { amount, destination: "DE00 0000" } });
  assertEquals((await owner.ask(api.getBalance)).inPayout, amount);
  const decision = { payoutId: payout.payoutId, decision: "paid", note: "transfer 17" };
  const decided = await admin.ask(api.decidePayout, { body: decision });
  assertEquals([decided.status, decided.amount], ["paid", amount]);
  await eventually("what is left is what was earned less what was paid out", async () => {
    const all = await moved(owner, "traffic", "operator");
    const { inPayout, earned: left } = await owner.ask(api.getBalance);
    return inPayout === "0.00" && parseMicros(left)! === all - parseMicros(amount)!;
  });
  assertStringIncludes(await owner.text("/v1/statement?side=operator&format=csv"), "payout");

  // And all of it is on record, in a chain that holds.
  const { entries } = await admin.ask(api.listAudit, { query: { limit: "1000" } });
  const actions = new Set(entries.map(({ action }) => action));
  for (const action of ["node.enrolled", "payment.paid", "payout.paid"]) {
    assert(actions.has(action), `${action} is not among ${[...actions]}`);
  }
  assertEquals((await admin.ask(api.verifyAudit)).isWhole, true);
  assertEquals(await world.stopOrchestrator(), 0);
}

/** What the house has, and whether debits and credits of all accounts are the same. */
async function books(admin: Person): Promise<{ readonly houseFees: bigint; readonly isBalanced: boolean }> {
  const { fees, debits, credits } = await admin.ask(api.getOverview);
  return { houseFees: parseMicros(fees)!, isBalanced: debits === credits };
}

/** More than others need: what the killed orchestrator held may have to expire before its client has money again. */
function scenario(stores: string, needs: Needs, play: () => Promise<void>): void {
  const tools = ["curl", ...needs.tools ?? []];
  Deno.test({
    ...withNeeds(requires({ tools }), `from consent to payout, on ${stores}`, play),
    timeout: TIME_LIMIT_MS,
  });
}

scenario("Deno KV", {}, async () => {
  await playScenario({ flags: [] });
});

scenario("PostgreSQL and Redis", { tools: [...POSTGRES_NEEDS.tools ?? [], ...REDIS_NEEDS.tools ?? []] }, async () => {
  await using postgres = await PostgresServer.start();
  await using redis = await RedisServer.start();
  await playScenario({ flags: ["--database", await postgres.createDatabase(), "--redis", redis.url] });
});
