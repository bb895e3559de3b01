import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { startOrchestrator } from "../fixtures/orchestrator.ts";
import { inviteFirstAdmin } from "./first_admin.ts";

Deno.test("whoever starts an orchestrator without an admin is given an invitation that makes one", async () => {
  const orchestrator = await startOrchestrator();
  await orchestrator.user();
  const invitation = await inviteFirstAdmin(orchestrator.access);
  assert(invitation !== undefined);
  const opened = await orchestrator.post("/v1/accounts", { invitation, name: "Ada" });
  assertEquals(opened.body.user.roles, ["user", "operator", "admin"]);
  assertEquals((await orchestrator.get("/v1/admin/users", { token: opened.body.accessToken })).status, 200);
  assertEquals(await inviteFirstAdmin(orchestrator.access), undefined);
});

Deno.test("the invitation of an earlier start makes nobody an admin any more", async () => {
  const orchestrator = await startOrchestrator();
  const earlier = await inviteFirstAdmin(orchestrator.access);
  const invitation = await inviteFirstAdmin(orchestrator.access);
  assertNotEquals(earlier, invitation);
  const open = async (invitation: string | undefined) =>
    (await orchestrator.post("/v1/accounts", { invitation, name: "Ada" })).status;
  assertEquals([await open(earlier), await open(invitation)], [401, 201]);
});
