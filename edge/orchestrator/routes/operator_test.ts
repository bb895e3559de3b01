import { assertEquals, assertMatch } from "@std/assert";
import { clientAccount, operatorAccount } from "../../../protocol/sharing/ledger.ts";
import * as api from "../api.ts";
import { NODE_ID, pay, startOrchestrator, testDevice } from "../fixtures/orchestrator.ts";

Deno.test("an operator enrols nodes, appeals against a standing, and is paid what an admin confirms", async () => {
  const orchestrator = await startOrchestrator();
  const { userId, token } = await orchestrator.user("operator");
  const admin = await orchestrator.user("admin");
  const { codeId, code } = (await orchestrator.post("/v1/nodes/codes", { label: "Attic" }, { token })).body;
  assertMatch(code, /^([a-z2-7]{4}-){3}[a-z2-7]{4}$/);
  assertEquals((await orchestrator.get("/v1/nodes/codes", { token })).body.codes[0].codeId, codeId);

  await orchestrator.tables.devices.insert(testDevice(userId));
  const connected = { nodeId: NODE_ID, virtualAddress: "fd00::1", region: "eu", country: "de", city: undefined };
  orchestrator.deps.nodes.nodes.set(NODE_ID, {
    ...connected,
    connectedAtMs: 1,
    isOpen: true,
    tunnels: 2,
    streams: 3,
    rttMs: 12.5,
  });
  const nodes = await orchestrator.get("/v1/nodes", { token });
  api.listNodes.answer.schema.parse(nodes.body);
  assertEquals(nodes.body.nodes[0].live.streams, 3);
  assertEquals((await orchestrator.get("/v1/places")).body, { places: [{ region: "eu", country: "de", nodes: 1 }] });

  const early = await orchestrator.post("/v1/nodes/appeal", { nodeId: NODE_ID, text: "why" }, { token });
  assertEquals(early.body.code, "conflict");
  const judged = { nodeId: NODE_ID, standing: "quarantined", reason: "lost packets" };
  assertEquals((await orchestrator.post("/v1/admin/nodes/standing", judged, { token: admin.token })).status, 200);
  const appealed = await orchestrator.post("/v1/nodes/appeal", { nodeId: NODE_ID, text: "it was the cable" }, {
    token,
  });
  assertEquals(appealed.body.appeal.text, "it was the cable");
  assertEquals((await orchestrator.get("/v1/admin/overview", { token: admin.token })).body.appealsOpen, 1);
  const cleared = { nodeId: NODE_ID, standing: "good", reason: "well again", answer: "granted" };
  const answered = await orchestrator.post("/v1/admin/nodes/standing", cleared, { token: admin.token });
  assertEquals([answered.body.standing, answered.body.appeal.answer], ["good", "granted"]);

  const small = await orchestrator.post("/v1/payouts", { amount: "1", destination: "IBAN" }, { token });
  assertEquals(small.body.code, "bad_request");
  const payout = await orchestrator.post("/v1/payouts", { amount: "6.5", destination: "IBAN" }, { token });
  assertEquals([payout.status, payout.body.amount, payout.body.status], [201, "6.50", "pending"]);
  const waiting = await orchestrator.get("/v1/admin/payouts", { token: admin.token });
  api.listAllPayouts.answer.schema.parse(waiting.body);
  const { payoutId } = waiting.body.payouts[0];
  const paid = await orchestrator.post("/v1/admin/payouts/decide", { payoutId, decision: "paid", note: "T1" }, {
    token: admin.token,
  });
  assertEquals(paid.body.status, "paid");

  const stranger = await orchestrator.user("operator");
  const theft = await orchestrator.post("/v1/nodes/remove", { nodeId: NODE_ID }, { token: stranger.token });
  assertEquals(theft.status, 404);
  assertEquals((await orchestrator.post("/v1/nodes/remove", { nodeId: NODE_ID }, { token })).status, 200);
  assertEquals(orchestrator.deps.nodes.disconnected, [NODE_ID]);
});

Deno.test("what nodes earned is summed by node, the most first", async () => {
  const orchestrator = await startOrchestrator();
  const { userId, token } = await orchestrator.user("operator");
  await pay(orchestrator, clientAccount("cccccccccccc"), 10_000_000n);
  const traffic = {
    phase: "posted",
    debit: clientAccount("cccccccccccc"),
    credit: operatorAccount(userId),
    reason: "traffic",
  } as const;
  await orchestrator.deps.ledger.apply([{
    id: "tick",
    transfers: [
      { ...traffic, id: "tick/0", amount: 1n, memo: { node: "a", up: 1, down: 2 } },
      { ...traffic, id: "tick/1", amount: 5n, memo: { node: "b", up: 3, down: 4 } },
      { ...traffic, id: "tick/2", amount: 2n, memo: { node: "a", up: 5, down: 6 } },
    ],
  }]);
  orchestrator.deps.clock.advance(1);
  const { body } = await orchestrator.get("/v1/earnings", { token });
  api.getEarnings.answer.schema.parse(body);
  assertEquals([body.total, body.isPartial], ["0.000008", false]);
  assertEquals(body.nodes, [
    { nodeId: "b", upBytes: 3, downBytes: 4, amount: "0.000005" },
    { nodeId: "a", upBytes: 6, downBytes: 8, amount: "0.000003" },
  ]);
});
