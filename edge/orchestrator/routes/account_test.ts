import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { clientAccount, operatorAccount } from "../../../protocol/sharing/ledger.ts";
import * as api from "../api.ts";
import { NODE_ID, pay, startOrchestrator } from "../fixtures/orchestrator.ts";

Deno.test("an API key does what it was made for as long as its owner may, and nothing that makes more of it", async () => {
  const orchestrator = await startOrchestrator();
  const { userId, token } = await orchestrator.user("operator");
  const made = await orchestrator.post("/v1/api-keys", { label: "cron", roles: ["user"] }, { token });
  assertEquals(made.status, 201);
  const key = made.body.token;
  assertMatch(key, /^culvert_[a-z2-7]{16}_[a-z2-7]{26}$/);
  assertEquals((await orchestrator.get("/v1/balance", { token: key })).status, 200);
  assertEquals((await orchestrator.get("/v1/nodes", { token: key })).body.code, "not_allowed");
  for (const [path, body] of [["/v1/api-keys", { label: "x", roles: ["user"] }], ["/v1/account/secret", {}]] as const) {
    assertEquals((await orchestrator.post(path, body, { token: key })).body.code, "not_allowed", path);
  }
  assertEquals(
    (await orchestrator.post("/v1/api-keys", { label: "x", roles: ["admin"] }, { token })).body.code,
    "not_allowed",
  );
  assertEquals((await orchestrator.get("/v1/balance", { token: `${key.slice(0, -1)}a2` })).status, 401);

  const listed = await orchestrator.get("/v1/api-keys", { token });
  api.listApiKeys.answer.schema.parse(listed.body);
  assertEquals(listed.body.keys.length, 1);
  assert(listed.body.keys[0].lastUsedAtMs > 0);
  assertEquals((await orchestrator.post("/v1/api-keys/revoke", { keyId: made.body.key.keyId }, { token })).status, 200);
  assertEquals((await orchestrator.get("/v1/balance", { token: key })).status, 401);

  const brief = await orchestrator.post(
    "/v1/api-keys",
    { label: "brief", roles: ["user"], expiresAtMs: orchestrator.deps.clock.wallNow() + 60_000 },
    { token },
  );
  orchestrator.deps.clock.advance(61_000);
  assertEquals((await orchestrator.get("/v1/balance", { token: brief.body.token })).status, 401);
  assert((await orchestrator.audited()).includes("api_key.revoked"), userId);
});

Deno.test("a client sees their money and use as the ledger has them", async () => {
  const orchestrator = await startOrchestrator();
  const { userId, token } = await orchestrator.user();
  const { ledger, clock } = orchestrator.deps;
  await pay(orchestrator, clientAccount(userId), 10_000_000n);
  clock.advance(1000);
  const debit = clientAccount(userId);
  const [outcome] = await ledger.apply([{
    id: "tick",
    transfers: [
      {
        id: "tick/0",
        phase: "posted",
        debit,
        credit: operatorAccount("bbbbbbbbbbbb"),
        amount: 800_000n,
        reason: "traffic",
        memo: { node: NODE_ID, up: 10, down: 20 },
      },
      { id: "tick/fee", phase: "posted", debit, credit: "fees", amount: 200_000n, reason: "fee" },
      {
        id: "tick/hold",
        phase: "pending",
        debit,
        credit: "holds",
        amount: 500_000n,
        reason: "hold",
        expiresAtMs: clock.wallNow() + 60_000,
      },
    ],
  }]);
  assertEquals(outcome?.status, "applied");
  const balance = await orchestrator.get("/v1/balance", { token });
  assertEquals(balance.body, { currency: "EUR", available: "8.50", held: "0.50", earned: "0.00", inPayout: "0.00" });

  clock.advance(1000);
  const usage = await orchestrator.get("/v1/usage", { token });
  api.getUsage.answer.schema.parse(usage.body);
  assertEquals(usage.body.points.map(({ atMs: _, ...point }: api.UsagePoint) => point), [{
    upBytes: 10,
    downBytes: 20,
    amount: "1.00",
  }]);

  const statement = await orchestrator.get("/v1/statement", { token });
  api.getStatement.answer.schema.parse(statement.body);
  assertEquals(statement.body.rows.map(({ amount, reason }: api.StatementRow) => [reason, amount]), [
    ["fee", "-0.20"],
    ["traffic", "-0.80"],
    ["topup", "10.00"],
  ]);
  const file = await orchestrator.get("/v1/statement", { token, query: { format: "csv" } });
  assertStringIncludes(file.headers.get("content-disposition") ?? "", "culvert-client-statement.csv");
  assertStringIncludes(file.body, `traffic,-0.80,posted,node=${NODE_ID} up=10 down=20,tick/0\r\n`);
});

Deno.test("use over time of which there is more than is looked at says that it is partial", async () => {
  const row = { id: "a/1", setId: "a", phase: "posted", debit: "client:x", credit: "fees", amount: 1n } as const;
  const page = Array.from({ length: 1000 }, () => ({ ...row, reason: "fee" as const, atMs: 1, sequence: 1 }));
  const { ledger } = (await startOrchestrator()).deps;
  const busy = Object.assign(Object.create(ledger), { transfers: () => Promise.resolve(page) });
  const orchestrator = await startOrchestrator({ ledger: busy });
  const { token } = await orchestrator.user();
  const { body } = await orchestrator.get("/v1/usage", { token });
  api.getUsage.answer.schema.parse(body);
  assertEquals(body.isPartial, true);
  const calm = await startOrchestrator();
  const asked = await calm.get("/v1/usage", { token: (await calm.user()).token });
  assertEquals(asked.body.isPartial, false);
});

Deno.test("a statement as a file has every row there is, and as many as are asked for", async () => {
  const orchestrator = await startOrchestrator();
  const { userId, token } = await orchestrator.user();
  for (let amount = 1n; amount <= 120n; amount++) await pay(orchestrator, clientAccount(userId), amount);
  const rows = async (query: Record<string, string>) => {
    const { body } = await orchestrator.get("/v1/statement", { token, query: { format: "csv", ...query } });
    return (body as string).trim().split("\r\n").length - 1;
  };
  assertEquals(await rows({}), 120);
  assertEquals(await rows({ limit: "7" }), 7);
});

Deno.test("a client's sessions that go on come before those that have ended", async () => {
  const use = (sessionId: string, userId: string) => ({
    ...{ sessionId, kind: "client" as const, userId, nodeId: NODE_ID, virtualAddress: "fd63::1", startedAtMs: 1 },
    ...{ upBytes: 1, downBytes: 2, streams: 1 },
  });
  const orchestrator = await startOrchestrator({ usesOf: (userId) => [use("now", userId)] });
  const { userId, token } = await orchestrator.user();
  await orchestrator.tables.sessions.insert({ ...use("then", userId), endedAtMs: orchestrator.deps.clock.wallNow() });
  const ids = async (query: Record<string, string>) => {
    const { body } = await orchestrator.get("/v1/uses", { token, query });
    return api.listUses.answer.schema.parse(body).uses.map(({ sessionId }) => sessionId);
  };
  assertEquals(await ids({}), ["now", "then"]);
  assertEquals(await ids({ after: "a" }), ["then"], "only the first page has them");
});

Deno.test("a statement adds up to the balance, whatever became of what was held", async () => {
  const orchestrator = await startOrchestrator();
  const { userId, token } = await orchestrator.user("operator");
  const debit = operatorAccount(userId);
  await pay(orchestrator, debit, 10_000_000n);
  const { ledger, clock } = orchestrator.deps;
  const common = { debit, credit: "payouts", reason: "payout" as const };
  for (const [at, amount] of [1_000_000n, 2_000_000n, 4_000_000n].entries()) {
    const expiresAtMs = clock.wallNow() + 60_000;
    await ledger.apply([{
      id: `p${at}`,
      transfers: [{ ...common, id: `p${at}/hold`, phase: "pending", amount, expiresAtMs }],
    }]);
  }
  const [paid, refused] = await ledger.apply([
    {
      id: "paid",
      transfers: [{
        ...{ ...common, id: "paid/1", phase: "post", pendingId: "p0/hold" },
        ...{ amount: 1_000_000n, closes: true },
      }],
    },
    { id: "refused", transfers: [{ ...common, id: "refused/1", phase: "void", pendingId: "p1/hold" }] },
  ]);
  assertEquals([paid?.status, refused?.status], ["applied", "applied"]);
  const { body } = await orchestrator.get("/v1/statement", { token, query: { side: "operator" } });
  assertEquals(body.rows.map(({ id, amount, isPending }: api.StatementRow) => [id, amount, isPending]), [
    ["paid/1", "-1.00", false],
    ["p2/hold", "-4.00", true],
    [body.rows[2].id, "10.00", false],
  ]);
  assertEquals((await orchestrator.get("/v1/balance", { token })).body.earned, "5.00");
});
