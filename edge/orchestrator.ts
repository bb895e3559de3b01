/**
 * The orchestrator as a Hono app: accounts, money, nodes and logins over HTTP, and the pages.
 *
 *   request ─▶ within its address's rate? ─┬─ /v1/…  operation (`orchestrator/http.ts`) ─▶ handler (`orchestrator/routes/`)
 *                                          ├─ /api, /openapi.json   the API's description
 *                                          └─ /, /web/…             the pages (`orchestrator/pages.ts`)
 *
 * What it offers, and what each request must look like, is in `orchestrator/api.ts`. Every answer says that it is to be
 * taken as what it is, shown in no other site's frame, and kept by no cache unless it says so itself.
 *
 * Not here: listening, TLS, the stores (`roles/orchestrator.ts`); webhooks (`orchestrator/payments.ts`), probes
 * (`orchestrator/probe.ts`), which whoever serves this app puts beside it; the nodes' WebSocket.
 */

import { Hono } from "hono";
import { API_PATHS, serveDescription } from "./api_description.ts";
import type { Access } from "./orchestrator/access.ts";
import { health, orchestratorApi } from "./orchestrator/api.ts";
import type { OrchestratorDeps } from "./orchestrator/deps.ts";
import { Operations, type OrchestratorEnv } from "./orchestrator/http.ts";
import { serveAccounts } from "./orchestrator/routes/account.ts";
import { serveAdmins } from "./orchestrator/routes/admin.ts";
import { serveOperators } from "./orchestrator/routes/operator.ts";
import { serveSessions } from "./orchestrator/routes/session.ts";
import { openApiOf } from "./openapi.ts";
import { Problem } from "./problem.ts";

export type { OrchestratorDeps } from "./orchestrator/deps.ts";
export type { OrchestratorEnv } from "./orchestrator/http.ts";
export { type Access, openAccess } from "./orchestrator/access.ts";
export { inviteFirstAdmin } from "./orchestrator/access/first_admin.ts";

const YEAR_SECONDS = 31_536_000;

export function createOrchestratorApi(deps: OrchestratorDeps, access: Access): Hono<OrchestratorEnv> {
  const app = new Hono<OrchestratorEnv>();
  const operations = new Operations(app, deps, access);
  app.use(async (context, next) => {
    await next();
    const { headers } = context.res;
    for (const [name, value] of Object.entries(answerHeaders(deps))) {
      if (!headers.has(name)) context.header(name, value);
    }
  });
  operations.serve(health, () => Promise.resolve({ status: "ok" as const, version: deps.version }));
  app.use(async (context, next) => {
    const refusal = await operations.refusalOfAddress(context.env?.remoteAddress);
    return refusal ? operations.refuse(refusal, "any") : await next();
  });
  serveSessions(operations, deps, access);
  serveAccounts(operations, deps, access);
  serveOperators(operations, deps, access);
  serveAdmins(operations, deps, access);
  serveDescription(app, () => openApiOf(orchestratorApi(deps.version)), API_PATHS);
  if (deps.pages) app.route("/", deps.pages);
  // Not `notFound`, which counts no more once the app is a part of another.
  app.all("*", (context) => operations.refuse(nothingHere(app, context.req.path), "any"));
  app.onError((error) => operations.refuse(operations.problemOf(error), "any"));
  return app;
}

function answerHeaders({ settings }: OrchestratorDeps): Readonly<Record<string, string>> {
  return {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    ...(settings.isSecure && { "strict-transport-security": `max-age=${YEAR_SECONDS}` }),
  };
}

/** Whether it is the address or only the method that nobody serves. */
function nothingHere(app: Hono<OrchestratorEnv>, path: string): Problem {
  const methods = new Set(app.routes.filter((route) => route.path === path).map(({ method }) => method));
  methods.delete("ALL");
  if (methods.size === 0) return new Problem("not_found", "Cannot answer: the path must be one of openapi.json");
  const allow = [...methods].join(", ");
  return new Problem("wrong_method", `Cannot answer: the method must be ${allow}`, { headers: { allow } });
}
