/**
 * What all APIs of administrators have in common as Hono apps: the token, how requests are read, and how deeds are answered.
 */

import { type Context, Hono } from "hono";
import type { z } from "zod";
import { serveDescription } from "../../edge/api_description.ts";
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

export interface AdminAppDeps {
  /** What an administrator must know. */
  readonly token: string;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Where an API is described, beside whatever else is on its port. */
const DESCRIPTION_PATHS = { page: "/v1", document: "/v1/openapi.json", style: "/v1/style.css" } as const;

/**
 * An app without requests yet. Who does not know the token is told what there is to ask for and nothing else; what fails is
 * told in one form.
 */
export function createAdminApp({ token, log, metrics }: AdminAppDeps, describe: () => OpenApiDocument): Hono {
  const app = new Hono();
  serveDescription(app, describe, DESCRIPTION_PATHS);
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
  return app;
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

/** Digests have one length, so comparing them tells nothing about the token. */
async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  let difference = 0;
  for (let at = 0; at < a.length; at++) difference |= a[at]! ^ b[at]!;
  return difference === 0;
}
