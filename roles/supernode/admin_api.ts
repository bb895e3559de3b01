/**
 * What an administrator may see and do at a supernode, over HTTP with a token, on a port of its own.
 *
 *   GET  /v1/streams  /v1/peers  /v1/sessions  /v1/blocks  /v1/audit      what there is
 *   POST /v1/commands                                         push a command, and wait for what becomes of it
 *   POST /v1/blocks   DELETE /v1/blocks/:kind/:peerId         revoke a peer or block a supernode, at once; lift it
 *   POST /v1/drain                                            send all peers elsewhere
 *   DELETE /v1/sessions/:sessionId                            end a session
 *
 * Everything that changes something is in the audit log, also when it was refused.
 */

import { type Context, Hono } from "hono";
import { z } from "zod";
import { Problem, schemaProblem } from "../../edge/problem.ts";
import { readBody } from "../../edge/read_body.ts";
import type { AuditStore } from "../../kv/audit.ts";
import type { BlockStore } from "../../kv/blocks.ts";
import type { Clock } from "../../protocol/clock.ts";
import {
  type CommandOrder,
  disconnectSchema,
  relayUpdateSchema,
  rotatePeerSchema,
  setupExitSchema,
} from "../../protocol/control/commands.ts";
import { messageOf } from "../../protocol/errors.ts";
import { peerIdSchema, tokenSchema } from "../../protocol/fields.ts";
import type { Log } from "../../protocol/log.ts";
import type { Random } from "../../protocol/random.ts";
import { blockSchema } from "../../protocol/stored_records.ts";
import { newId } from "./command_outbox.ts";
import type { Supernode } from "./supernode.ts";

const MAX_BODY_BYTES = 64 * 1024;
const MAX_LISTED = 1000;
const ACTOR = "admin";

export interface AdminApiDeps {
  readonly supernode: Supernode;
  readonly audit: AuditStore;
  readonly blocks: BlockStore;
  /** What an administrator must know. */
  readonly token: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  drain(leaveWithinMs: number): Promise<void>;
}

const timeoutMs = z.int().min(100).max(3_600_000).default(30_000);
const orderSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("SETUP_EXIT"), sessionId: tokenSchema, payload: setupExitSchema, timeoutMs }),
  z.object({ kind: z.literal("ROTATE_PEER"), sessionId: tokenSchema, payload: rotatePeerSchema, timeoutMs }),
  z.object({ kind: z.literal("RELAY_UPDATE"), payload: relayUpdateSchema, timeoutMs }),
  z.object({ kind: z.literal("DISCONNECT"), sessionId: tokenSchema.optional(), payload: disconnectSchema, timeoutMs }),
]);
const commandBody = z.object({ peerId: peerIdSchema, command: orderSchema });
const blockBody = z.object({
  kind: blockSchema.shape.kind,
  peerId: peerIdSchema,
  reason: z.string().max(1024).default(""),
});
const drainBody = z.object({ leaveWithinMs: z.int().min(0).max(3_600_000).default(60_000) });

export function createAdminApi(deps: AdminApiDeps): Hono {
  const { supernode, audit, blocks, clock, random, log } = deps;
  const app = new Hono();
  const expected = digest(`Bearer ${deps.token}`);

  app.use(async (context, next) => {
    const given = await digest(context.req.header("authorization") ?? "");
    if (equal(given, await expected)) return await next();
    return context.json({ code: "unauthorized", detail: "Cannot answer: the token must be the administrator's" }, 401);
  });
  app.onError((error) => {
    log.error("An administrator's request failed", { error: messageOf(error) });
    return new Problem("internal", `Cannot answer: ${messageOf(error)}`).response();
  });
  app.notFound(() => new Problem("not_found", "Cannot answer: there is nothing at this path").response());

  app.get(
    "/v1/streams",
    (context) => context.json({ total: supernode.streams.size, streams: streamsOf(deps, context) }),
  );
  app.get("/v1/peers", (context) => {
    const peers = [...supernode.streams].slice(0, limitOf(context)).map(({ machine, telemetry }) => ({
      ...machine.peer!,
      telemetry: telemetry ?? null,
    }));
    return context.json({ total: supernode.streams.size, peers });
  });
  app.get("/v1/sessions", (context) => {
    const sessions = [...supernode.sessions].slice(0, limitOf(context));
    return context.json({ total: supernode.sessions.size, sessions });
  });
  app.get("/v1/blocks", async (context) => context.json({ blocks: [...await blocks.list()] }));
  app.get("/v1/audit", async (context) => {
    const before = context.req.query("before");
    const entries = await audit.list({ limit: limitOf(context), ...(before !== undefined && { before }) });
    return context.json({ entries });
  });

  /** Does what changes something, and writes down who asked for what and how it ended. */
  async function act<S extends z.ZodType>(
    context: Context,
    { action, schema, subject }: {
      readonly action: string;
      readonly schema: S;
      subject(body: z.output<S>): string | undefined;
    },
    does: (body: z.output<S>) => Promise<{ readonly outcome: "done" | "failed"; readonly answer: object }>,
  ): Promise<Response> {
    const bytes = await readBody(context.req.raw, MAX_BODY_BYTES);
    const parsed = schema.safeParse(bytes && parseJson(bytes));
    if (!parsed.success) {
      await audit.append({ actor: ACTOR, action, outcome: "refused", detail: "malformed" });
      return schemaProblem(parsed.error).response();
    }
    const about = subject(parsed.data);
    const entry = { actor: ACTOR, action, ...(about !== undefined && { subject: about }) };
    try {
      const { outcome, answer } = await does(parsed.data);
      await audit.append({ ...entry, outcome });
      return context.json(answer);
    } catch (error) {
      await audit.append({ ...entry, outcome: "failed", detail: messageOf(error).slice(0, 1024) });
      throw error;
    }
  }

  app.post(
    "/v1/commands",
    (context) =>
      act(context, { action: "command", schema: commandBody, subject: ({ peerId }) => peerId }, async (body) => {
        const order = { ...body.command, commandId: newId(random) } as CommandOrder;
        const outcome = await supernode.push(body.peerId, order);
        return { outcome: outcome.ok ? "done" : "failed", answer: { commandId: order.commandId, ...outcome } };
      }),
  );
  app.post(
    "/v1/blocks",
    (context) =>
      act(context, { action: "block", schema: blockBody, subject: ({ peerId }) => peerId }, async (body) => {
        await blocks.block({ ...body, by: ACTOR, sinceMs: clock.wallNow() });
        return { outcome: "done", answer: { ok: true } };
      }),
  );
  app.delete("/v1/blocks/:kind/:peerId", (context) => {
    const { kind, peerId } = context.req.param();
    const path = blockBody.pick({ kind: true, peerId: true }).safeParse({ kind, peerId });
    if (!path.success) return schemaProblem(path.error).response();
    return act(context, { action: "unblock", schema: z.unknown(), subject: () => peerId }, async () => {
      const wasThere = await blocks.unblock(path.data.kind, path.data.peerId);
      return { outcome: wasThere ? "done" : "failed", answer: { ok: wasThere } };
    });
  });
  app.delete("/v1/sessions/:sessionId", (context) => {
    const { sessionId } = context.req.param();
    return act(
      context,
      { action: "end_session", schema: z.unknown(), subject: () => sessionId.slice(0, 64) },
      async () => {
        const wasThere = await supernode.endSession(sessionId, "admin");
        return { outcome: wasThere ? "done" : "failed", answer: { ok: wasThere } };
      },
    );
  });
  app.post(
    "/v1/drain",
    (context) =>
      act(context, { action: "drain", schema: drainBody, subject: () => undefined }, async ({ leaveWithinMs }) => {
        await deps.drain(leaveWithinMs);
        return { outcome: "done", answer: { ok: true, streams: supernode.streams.size } };
      }),
  );
  return app;
}

function streamsOf({ supernode, clock }: AdminApiDeps, context: Context): object[] {
  const nowMs = clock.now();
  return [...supernode.streams].slice(0, limitOf(context)).map(({ machine, sinceMs, heardMs }) => {
    const { peerId, role, region, version } = machine.peer!;
    const ages = { connectedMs: Math.round(nowMs - sinceMs), silentMs: Math.round(nowMs - heardMs) };
    return { peerId, role, region, version, ...ages };
  });
}

function limitOf(context: Context): number {
  const limit = Number(context.req.query("limit") ?? 100);
  return Number.isInteger(limit) ? Math.min(MAX_LISTED, Math.max(1, limit)) : 100;
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
