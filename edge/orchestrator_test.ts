import { assertEquals } from "@std/assert";
import { Hono } from "hono";
import { createOrchestratorApi } from "./orchestrator.ts";
import { createPages } from "./orchestrator/pages.ts";
import { BASE_URL, startOrchestrator } from "./orchestrator/fixtures/orchestrator.ts";

Deno.test("what is not there, or not by that method, is a problem that says so, also as a part of another app", async () => {
  const orchestrator = await startOrchestrator({ pages: createPages() });
  const whole = new Hono().route("/", createOrchestratorApi(orchestrator.deps, orchestrator.access));
  const rows = [["/nothing", "not_found"], ["/web/nothing.js", "not_found"], ["/v1/session", "wrong_method"]] as const;
  for (const [path, code] of rows) {
    for (const fetch of [orchestrator.fetch, (request: Request) => whole.request(request)]) {
      const answer = await fetch(new Request(BASE_URL + path));
      assertEquals((await answer.json()).code, code, path);
    }
  }
});

Deno.test("an id that no store could keep is the asker's mistake, not the orchestrator's", async () => {
  const orchestrator = await startOrchestrator();
  const { token } = await orchestrator.user("admin");
  const ask = async (path: string, query: Record<string, string>) =>
    (await orchestrator.get(path, { token, query })).body.code;
  assertEquals(await ask("/v1/admin/audit", { before: "yesterday" }), "bad_request");
  assertEquals(await ask("/v1/admin/users", { after: "a\0b" }), "bad_request");
  assertEquals(await ask("/v1/admin/payouts", { after: "ä" }), "bad_request");
});

Deno.test("an address, and an account, may ask only so often, at all processes of the orchestrator together", async () => {
  const one = await startOrchestrator();
  const other = await startOrchestrator({ counters: one.deps.counters });
  const ask = (orchestrator: typeof one, ask: { token?: string; address: string }) =>
    orchestrator.get(ask.token === undefined ? "/v1/info" : "/v1/balance", ask);
  const statuses: number[] = [];
  for (let each = 0; each < 502; each++) {
    statuses.push((await ask(each % 2 === 0 ? one : other, { address: "2001:db8::1" })).status);
  }
  assertEquals(statuses.indexOf(429), 500);
  assertEquals((await ask(other, { address: "2001:db8::2" })).status, 429, "the same /64");
  assertEquals((await ask(other, { address: "192.0.2.1" })).status, 200);

  const { token } = await one.user();
  let answered = 0;
  while ((await ask(one, { token, address: `198.51.100.${answered % 200}` })).status === 200) answered++;
  assertEquals(answered, 200);
  assertEquals(one.log.text("error"), "");
});
