/**
 * What an administrator may see and do at a supernode, over HTTP with a token, on a port of its own. docs/admin.md has
 * the table of requests; bodies and answers are in `admin_schema.ts`.
 *
 *   GET   status, streams, peers, sessions, links, blocks, audit     what there is, a page at a time
 *   POST, DELETE   commands, blocks, drain, (static-)sessions        what changes something (`admin_deeds.ts`)
 *   GET   /v1, /v1/openapi.json                                      what is offered, for anyone (`admin_operations.ts`)
 */

import type { Hono } from "hono";
import deno from "../../deno.json" with { type: "json" };
import { openApiOf } from "../../edge/openapi.ts";
import { Problem } from "../../edge/problem.ts";
import type { AuditStore } from "../../kv/audit.ts";
import type { BlockStore } from "../../kv/blocks.ts";
import type { Clock } from "../../protocol/clock.ts";
import { addBlockDeeds } from "../admin_api/block_deeds.ts";
import { type AdminAppDeps, answerOf, bodyOf, createAdminApp } from "../admin_api/http.ts";
import { addAudit, addList } from "../admin_api/lists.ts";
import { blockPage } from "../admin_api/page.ts";
import type { AdminDeeds } from "./admin_deeds.ts";
import { adminApi } from "./admin_operations.ts";
import { commandBody, drainBody, staticSessionBody, type StatusAnswer } from "./admin_schema.ts";
import { linkPage, peerPage, sessionPage, streamPage } from "./admin_views.ts";
import type { Supernode } from "./supernode.ts";
import type { Vitals } from "./vitals.ts";

export interface AdminApiDeps extends AdminAppDeps {
  readonly supernode: Supernode;
  readonly deeds: AdminDeeds;
  readonly audit: AuditStore;
  readonly blocks: BlockStore;
  readonly clock: Clock;
  /** Of a closed network. */
  readonly networkId?: string | undefined;
  readonly region: string;
  readonly vitals: Pick<Vitals, "cpuPct">;
}

export function createAdminApi(deps: AdminApiDeps): Hono {
  const app = createAdminApp(deps, () => openApiOf(adminApi(deno.version)));
  addStatus(app, deps);
  addLists(app, deps);
  addBlockDeeds(app, deps.deeds.blocks, deps);
  addDeeds(app, deps);
  return app;
}

function addStatus(app: Hono, { supernode, networkId, blocks, vitals, clock, region }: AdminApiDeps): void {
  const startedMs = clock.now();
  app.get("/v1/status", async (context) => {
    const { streams, exits, draining } = supernode.status;
    const { cpuPct } = vitals;
    const status: StatusAnswer = {
      supernodeId: supernode.supernodeId,
      ...(networkId !== undefined && { networkId }),
      region,
      version: deno.version,
      upMs: Math.round(clock.now() - startedMs),
      draining,
      streams,
      exits,
      sessions: supernode.sessions.size,
      links: supernode.links.size,
      blocks: (await blocks.list()).size,
      maxStreams: supernode.maxStreams,
      traffic: { ...supernode.links.traffic },
      ...(cpuPct !== undefined && { cpuPct }),
    };
    return context.json(status);
  });
}

function addLists(app: Hono, { supernode, blocks, audit, clock }: AdminApiDeps): void {
  addList(app, "streams", (query) => streamPage(supernode, query, clock));
  addList(app, "peers", async (query) => peerPage(supernode, query, await blocks.list()));
  addList(app, "sessions", (query) => sessionPage(supernode, query));
  addList(app, "links", (query) => linkPage(supernode, query));
  addList(app, "blocks", async (query) => blockPage(await blocks.list(), query));
  addAudit(app, audit);
}

function addDeeds(app: Hono, deps: AdminApiDeps): void {
  const { deeds } = deps;
  app.post("/v1/commands", async (context) => {
    const body = await bodyOf(context, deps, { action: "push", schema: commandBody });
    return body instanceof Problem ? body.response() : answerOf(await deeds.push(body));
  });
  app.delete(
    "/v1/sessions/:sessionId",
    async (context) => answerOf(await deeds.endSession(context.req.param("sessionId"))),
  );
  app.post("/v1/drain", async (context) => {
    const body = await bodyOf(context, deps, { action: "drain", schema: drainBody });
    return body instanceof Problem ? body.response() : answerOf(await deeds.drain(body.leaveWithinMs));
  });
  app.delete("/v1/drain", async () => answerOf(await deeds.undrain()));
  app.post("/v1/static-sessions", async (context) => {
    const body = await bodyOf(context, deps, { action: "grant_session", schema: staticSessionBody });
    return body instanceof Problem ? body.response() : answerOf(await deeds.grantSession(body));
  });
}
