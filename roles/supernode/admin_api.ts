/**
 * What an administrator may see and do at a supernode, over HTTP with a token, on a port of its own. docs/admin.md has
 * the table of requests; bodies and answers are in `admin_schema.ts`.
 *
 *   GET   status, streams, peers, sessions, blocks, audit     what there is, a page at a time
 *   POST, DELETE   commands, blocks, drain, (static-)sessions what changes something, and is in the audit log, also when
 *                                                             it came to nothing
 *   GET   /v1, /v1/openapi.json                               what is offered, for anyone (`admin_operations.ts`)
 */

import { type Context, Hono } from "hono";
import type { z } from "zod";
import deno from "../../deno.json" with { type: "json" };
import { serveDescription } from "../../edge/api_description.ts";
import { openApiOf } from "../../edge/openapi.ts";
import { Problem, schemaProblem } from "../../edge/problem.ts";
import { readBody } from "../../edge/read_body.ts";
import type { AuditStore } from "../../kv/audit.ts";
import type { BlockStore } from "../../kv/blocks.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { CommandOrder } from "../../protocol/control/commands.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Random } from "../../protocol/random.ts";
import type { AuditEvent } from "../../protocol/stored_records.ts";
import { ADMIN_DESCRIPTION_PATHS, adminApi } from "./admin_operations.ts";
import {
  auditQuery,
  blockBody,
  commandBody,
  drainBody,
  listQuery,
  staticSessionBody,
  type StatusAnswer,
} from "./admin_schema.ts";
import { blockPage, type Page, peerPage, sessionPage, streamPage } from "./admin_views.ts";
import { newId } from "./command_outbox.ts";
import type { Supernode } from "./supernode.ts";

const MAX_BODY_BYTES = 64 * 1024;
const ACTOR = "admin";
/** Where the schemas are described. */
const DESCRIPTION = "docs/admin.md";

export interface AdminApiDeps {
  readonly supernode: Supernode;
  /** Of a closed network. */
  readonly networkId?: string | undefined;
  readonly region: string;
  readonly audit: AuditStore;
  readonly blocks: BlockStore;
  /** What an administrator must know. */
  readonly token: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  drain(leaveWithinMs: number): Promise<void>;
  /** Lets peers in again. */
  undrain(): Promise<void>;
}

/** What is to be written down about a deed before it is done. */
type Deed = Pick<AuditEvent, "action" | "subject">;

/** How a deed ended: something to answer with, or the problem it met. */
type Done = { readonly answer: object; readonly detail?: string; readonly hasFailed?: boolean } | Problem;

export function createAdminApi(deps: AdminApiDeps): Hono {
  const app = new Hono();
  serveDescription(app, () => openApiOf(adminApi(deno.version)), ADMIN_DESCRIPTION_PATHS);
  guard(app, deps);
  addLists(app, deps);
  addDeeds(app, deps);
  addStaticSessions(app, deps);
  return app;
}

/** Who does not know the token is told nothing, and what fails is told in one form. */
function guard(app: Hono, { token, log, metrics }: AdminApiDeps): void {
  const expected = digest(`Bearer ${token}`);
  const requests = metrics.counter("admin_requests_total", "Requests of administrators, by status", ["status"]);
  app.use(async (context, next) => {
    await next();
    requests.add(1, { status: String(context.res.status) });
  });
  app.use(async (context, next) => {
    const given = await digest(context.req.header("authorization") ?? "");
    if (equal(given, await expected)) return await next();
    return new Problem("unauthorized", "Cannot answer: the token must be the administrator's").response();
  });
  app.onError((error) => {
    log.error("An administrator's request failed", { error: messageOf(error) });
    return new Problem("internal", `Cannot answer: ${messageOf(error)}`).response();
  });
  app.notFound(() => new Problem("not_found", "Cannot answer: there is nothing at this path").response());
}

function addLists(app: Hono, deps: AdminApiDeps): void {
  const { supernode, networkId, blocks, audit, clock, region } = deps;
  const startedMs = clock.now();

  app.get("/v1/status", async (context) => {
    const { streams, exits, draining } = supernode.status;
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
    };
    return context.json(status);
  });
  const list = (name: string, page: (query: z.output<typeof listQuery>) => Page<object> | Promise<Page<object>>) =>
    app.get(`/v1/${name}`, async (context) => {
      const query = queryOf(context, listQuery);
      if (query instanceof Problem) return query.response();
      const { items, ...rest } = await page(query);
      return context.json({ ...rest, [name]: items });
    });
  list("streams", (query) => streamPage(supernode, query, clock));
  list("peers", async (query) => peerPage(supernode, query, await blocks.list()));
  list("sessions", (query) => sessionPage(supernode, query));
  list("blocks", async (query) => blockPage(await blocks.list(), query));
  app.get("/v1/audit", async (context) => {
    const query = queryOf(context, auditQuery);
    if (query instanceof Problem) return query.response();
    const { limit, before } = query;
    const entries = await audit.list({ limit, ...(before !== undefined && { before }) });
    return context.json({ entries, ...(entries.length === limit && { next: entries.at(-1)!.id }) });
  });
}

function addDeeds(app: Hono, deps: AdminApiDeps): void {
  const { supernode, blocks, clock, random } = deps;

  app.post("/v1/commands", async (context) => {
    const body = await bodyOf(context, deps, { action: "push", schema: commandBody });
    if (body instanceof Problem) return body.response();
    const { peerId, queue } = body;
    return await act(deps, { action: "push", subject: peerId }, async () => {
      if (!queue && !supernode.streams.get(peerId)) {
        return new Problem("not_found", `Cannot push a command: ${peerId} is not connected here`);
      }
      const order = { ...body.command, commandId: newId(random) } as CommandOrder;
      const outcome = await supernode.push(peerId, order);
      return {
        answer: { commandId: order.commandId, ...outcome },
        detail: `${order.kind}${outcome.ok ? "" : `: ${outcome.reason}`}`,
        hasFailed: !outcome.ok,
      };
    });
  });
  app.post("/v1/blocks", async (context) => {
    const body = await bodyOf(context, deps, { action: "block", schema: blockBody });
    if (body instanceof Problem) return body.response();
    const { kind, peerId, reason } = body;
    return await act(deps, { action: kind === "peer" ? "revoke" : "block", subject: peerId }, async () => {
      const wasConnected = kind === "peer"
        ? supernode.streams.get(peerId) !== undefined
        : supernode.links.linkOf({ kind, id: peerId }) !== undefined;
      await blocks.block({ kind, peerId, reason, by: ACTOR, sinceMs: clock.wallNow() });
      return { answer: { wasConnected }, ...(reason !== "" && { detail: reason }) };
    });
  });
  app.delete("/v1/blocks/:kind/:peerId", async (context) => {
    const path = blockBody.pick({ kind: true, peerId: true }).safeParse(context.req.param());
    if (!path.success) return schemaProblem(path.error, DESCRIPTION).response();
    const { kind, peerId } = path.data;
    return await act(deps, { action: kind === "peer" ? "unrevoke" : "unblock", subject: peerId }, async () => {
      if (await blocks.unblock(kind, peerId)) return { answer: { ok: true } };
      return new Problem("not_found", `Cannot lift a block: the ${kind} ${peerId} is not blocked`);
    });
  });
  app.delete("/v1/sessions/:sessionId", async (context) => {
    const { sessionId } = context.req.param();
    return await act(deps, { action: "end_session", subject: sessionId.slice(0, 64) }, async () => {
      if (await supernode.endSession(sessionId, "admin")) return { answer: { ok: true } };
      return new Problem("not_found", "Cannot end a session: there is none of that id here");
    });
  });
  app.post("/v1/drain", async (context) => {
    const body = await bodyOf(context, deps, { action: "drain", schema: drainBody });
    if (body instanceof Problem) return body.response();
    return await act(deps, { action: "drain" }, async () => {
      await deps.drain(body.leaveWithinMs);
      return { answer: { streams: supernode.streams.size } };
    });
  });
  app.delete("/v1/drain", (_context) =>
    act(deps, { action: "undrain" }, async () => {
      await deps.undrain();
      return { answer: { ok: true } };
    }));
}

function addStaticSessions(app: Hono, deps: AdminApiDeps): void {
  app.post("/v1/static-sessions", async (context) => {
    const body = await bodyOf(context, deps, { action: "grant_session", schema: staticSessionBody });
    if (body instanceof Problem) return body.response();
    return await act(deps, { action: "grant_session", subject: body.keys.peerId }, async () => {
      try {
        const grant = await deps.supernode.grantStatic(body);
        if (grant.ok) return { answer: { offer: grant.offer }, detail: grant.offer.sessionId };
        const { reason, remark = reason, retryAfterMs } = grant;
        const code = reason === "no_exit" ? "not_found" : "unavailable";
        const more = retryAfterMs === undefined ? {} : { retryAfterMs };
        return new Problem(code, `Cannot grant a session: ${remark}`, more);
      } catch (error) {
        if (!(error instanceof CulvertError) || error.code !== "bad_keys") throw error;
        return new Problem("bad_request", error.message);
      }
    });
  });
}

/** Does what changes something, and writes down who asked for what and how it ended. */
async function act({ audit }: AdminApiDeps, deed: Deed, does: () => Promise<Done>): Promise<Response> {
  const entry = { actor: ACTOR, ...deed };
  let done: Done;
  try {
    done = await does();
  } catch (error) {
    await audit.append({ ...entry, outcome: "failed", detail: messageOf(error).slice(0, 1024) });
    throw error;
  }
  if (done instanceof Problem) {
    await audit.append({ ...entry, outcome: "failed", detail: done.code });
    return done.response();
  }
  const { answer, detail, hasFailed } = done;
  await audit.append({ ...entry, outcome: hasFailed ? "failed" : "done", ...(detail !== undefined && { detail }) });
  return Response.json(answer);
}

/** The request's body as its schema says; what is not is written down as refused. */
async function bodyOf<S extends z.ZodType>(
  context: Context,
  { audit }: AdminApiDeps,
  { action, schema }: { readonly action: string; readonly schema: S },
): Promise<z.output<S> | Problem> {
  const bytes = await readBody(context.req.raw, MAX_BODY_BYTES);
  const parsed = schema.safeParse(bytes && parseJson(bytes));
  if (parsed.success) return parsed.data;
  await audit.append({ actor: ACTOR, action, outcome: "refused", detail: "malformed" });
  return schemaProblem(parsed.error, DESCRIPTION);
}

function queryOf<S extends z.ZodType>(context: Context, schema: S): z.output<S> | Problem {
  const { limit, ...rest } = context.req.query();
  const parsed = schema.safeParse({ ...rest, ...(limit !== undefined && { limit: Number(limit) }) });
  return parsed.success ? parsed.data : schemaProblem(parsed.error, DESCRIPTION);
}

/** Undefined for what is no JSON. */
function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

/** Digests have one length, so comparing them tells nothing about the token. */
async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  let difference = 0;
  for (let at = 0; at < a.length; at++) difference |= a[at]! ^ b[at]!;
  return difference === 0;
}
