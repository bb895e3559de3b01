/**
 * What all APIs of administrators have in common as Hono apps: who is let in, how requests are read, and how deeds are answered.
 */

import { type Context, Hono } from "hono";
import type { z } from "zod";
import { serveDescription } from "../../edge/api_description.ts";
import { refusalOfPage } from "../../edge/dashboard/door.ts";
import type { DashboardOrigin } from "../../edge/dashboard/deps.ts";
import type { TokenGuard } from "../../edge/dashboard/token_guard.ts";
import type { OpenApiDocument } from "../../edge/openapi.ts";
import { Problem, schemaProblem } from "../../edge/problem.ts";
import { readBody } from "../../edge/read_body.ts";
import type { AuditStore } from "../../kv/audit.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import { ACTOR, type Done } from "./audited.ts";

const MAX_BODY_BYTES = 64 * 1024;
/** Where the schemas are described. */
const DESCRIPTION = "docs/admin.md";

const HEADERS = { "x-content-type-options": "nosniff", "cache-control": "no-store" } as const;

export interface AdminAppDeps {
  /** Of what an administrator must know. */
  readonly guard: TokenGuard;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Where an API is described, beside whatever else is on its port. */
const DESCRIPTION_PATHS = { page: "/v1", document: "/v1/openapi.json", style: "/v1/style.css" } as const;

/**
 * An app without requests yet. Who does not know the token is told what there is to ask for and nothing else; what fails is
 * told in one form. Pages of other sites may have a browser show the description, and ask for nothing.
 */
export function createAdminApp({ guard, log, metrics }: AdminAppDeps, describe: () => OpenApiDocument): Hono {
  const app = new Hono<{ Bindings: DashboardOrigin }>();
  const requests = metrics.counter("admin_requests_total", "Requests of administrators, by status", ["status"]);
  app.use(async (context, next) => {
    await next();
    for (const [name, value] of Object.entries(HEADERS)) context.header(name, value);
  });
  serveDescription(app, describe, DESCRIPTION_PATHS);
  app.use(async (context, next) => {
    await next();
    requests.add(1, { status: String(context.res.status) });
  });
  app.use(async ({ req, env }, next) => {
    const refusal = refusalOfPage(req.raw) ?? refusalOfToken(guard, req.header("authorization"), env?.remoteAddress);
    return refusal ? refusal.response() : await next();
  });
  app.onError((error) => {
    log.error("An administrator's request failed", { error: messageOf(error) });
    return new Problem("internal", `Cannot answer: ${messageOf(error)}`).response();
  });
  app.notFound(() => new Problem("not_found", "Cannot answer: there is nothing at this path").response());
  return app as unknown as Hono;
}

/** The problem with the token that is shown, or undefined. */
function refusalOfToken(guard: TokenGuard, header: string | undefined, address: string | undefined) {
  const token = /^Bearer (.+)$/i.exec(header ?? "")?.[1];
  const shown = token === undefined ? undefined : guard.show(token, address);
  if (shown?.is === "right") return undefined;
  if (shown?.is === "not_looked_at") {
    const { retryAfterMs } = shown;
    return new Problem("rate_limited", "Cannot answer now: too many wrong tokens were shown; try again", {
      retryAfterMs,
    });
  }
  return new Problem("unauthorized", "Cannot answer: the token must be the administrator's");
}

/** The request's body as its schema says; what is not is written down as refused. */
export async function bodyOf<S extends z.ZodType>(
  context: Context,
  { audit }: { readonly audit: Pick<AuditStore, "append"> },
  { action, schema }: { readonly action: string; readonly schema: S },
): Promise<z.output<S> | Problem> {
  const bytes = await readBody(context.req.raw, MAX_BODY_BYTES);
  const parsed = schema.safeParse(bytes && parseJson(bytes));
  if (parsed.success) return parsed.data;
  await audit.append({ actor: ACTOR, action, outcome: "refused", detail: "malformed" });
  return schemaProblem(parsed.error, DESCRIPTION);
}

export function queryOf<S extends z.ZodType>(context: Context, schema: S): z.output<S> | Problem {
  const { limit, ...rest } = context.req.query();
  const parsed = schema.safeParse({ ...rest, ...(limit !== undefined && { limit: Number(limit) }) });
  return parsed.success ? parsed.data : schemaProblem(parsed.error, DESCRIPTION);
}

export function paramsOf<S extends z.ZodType>(context: Context, schema: S): z.output<S> | Problem {
  const parsed = schema.safeParse(context.req.param());
  return parsed.success ? parsed.data : schemaProblem(parsed.error, DESCRIPTION);
}

/** What whoever asked for a deed is told. */
export function answerOf(done: Done): Response {
  return done instanceof Problem ? done.response() : Response.json(done.answer);
}

/** Undefined for what is no JSON. */
function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}
