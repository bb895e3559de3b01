import { assert, assertEquals } from "@std/assert";
import type { z } from "zod";
import * as api from "../api.ts";
import { startOrchestrator } from "../fixtures/orchestrator.ts";

Deno.test("an admin gives credit once for an id, and takes no more than there is", async () => {
  const orchestrator = await startOrchestrator();
  const { userId } = await orchestrator.user();
  const { token } = await orchestrator.user("admin");
  const give = { id: "gift-0001", userId, direction: "give", amount: "5", reason: "welcome" };
  const post = (body: unknown) => orchestrator.post("/v1/admin/credits", body, { token });
  assertEquals((await post(give)).body.available, "5.00");
  assertEquals((await post(give)).body.available, "5.00");
  assertEquals((await post({ ...give, amount: "6" })).body.code, "conflict");
  assertEquals((await post({ ...give, id: "take-0001", direction: "take", amount: "6" })).body.code, "insufficient");
  assertEquals((await post({ ...give, id: "take-0002", direction: "take", amount: "2" })).body.available, "3.00");
  const found = await orchestrator.get("/v1/admin/user", { token, query: { userId } });
  assertEquals(found.body.balance.available, "3.00");
});

Deno.test("a suspended account loses its logins, an admin cannot lock themselves out, and all of it is in the log", async () => {
  const orchestrator = await startOrchestrator();
  const client = await orchestrator.user();
  const { token, userId } = await orchestrator.user("admin");
  const change = (body: unknown) => orchestrator.post("/v1/admin/user", body, { token });
  const suspended = await change({
    userId: client.userId,
    status: "suspended",
    reason: "abuse",
    limits: { maxConnections: 3 },
  });
  assertEquals([suspended.body.status, suspended.body.reason, suspended.body.limits.maxConnections], [
    "suspended",
    "abuse",
    3,
  ]);
  assertEquals(
    (await orchestrator.post("/v1/session/refresh", { refreshToken: client.refreshToken })).body.code,
    "token_expired",
  );
  const login = await orchestrator.post("/v1/session", { userId: client.userId, secret: client.secret });
  assertEquals([login.status, login.body.code], [403, "suspended"]);
  const restored = await change({ userId: client.userId, status: "active", reason: "sorted out", limits: null });
  assertEquals([restored.body.status, restored.body.reason, restored.body.limits], ["active", undefined, undefined]);

  assertEquals((await change({ userId, status: "suspended", reason: "oops" })).body.code, "conflict");
  assertEquals((await change({ userId, roles: ["user"], reason: "oops" })).body.code, "conflict");

  const audit = await orchestrator.get("/v1/admin/audit", { token, query: { limit: "2" } });
  api.listAudit.answer.schema.parse(audit.body);
  const [{ actor, action, subject, detail }] = audit.body.entries;
  assertEquals([actor, action, subject], [userId, "account.changed", client.userId]);
  assertEquals(detail, 'status "active", limits null: sorted out');
  assertEquals((await orchestrator.get("/v1/admin/audit/verification", { token })).body.isWhole, true);
  const more = await orchestrator.get("/v1/admin/audit", { token, query: { before: audit.body.next } });
  assert(more.body.entries.length > 0);
});

Deno.test("every read of an admin answers as its schema says", async () => {
  const orchestrator = await startOrchestrator();
  const { token } = await orchestrator.user("admin", "operator");
  for (const { id, method, path, answer } of api.orchestratorOperations()) {
    if (method !== "get" || id === "getUser") continue;
    const { status, body } = await orchestrator.get(path, { token });
    assertEquals(status, 200, id);
    (answer.schema as z.ZodObject).strict().parse(body, { error: () => id });
  }
});
