/**
 * Turning peers and supernodes away, and taking them back: what the APIs of a supernode and of base have in common, and their
 * dashboards as well.
 */

import type { Hono } from "hono";
import type { z } from "zod";
import { Problem } from "../../edge/problem.ts";
import type { AuditStore } from "../../kv/audit.ts";
import type { BlockStore } from "../../kv/blocks.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { BlockKind } from "../../protocol/stored_records.ts";
import { blockBody } from "./schema.ts";
import { ACTOR, audited, type Done } from "./audited.ts";
import { answerOf, bodyOf, paramsOf } from "./http.ts";

export interface BlockDeedsDeps {
  readonly blocks: BlockStore;
  readonly audit: AuditStore;
  readonly clock: Clock;
  /** Whether somebody is connected here now. */
  isConnected(kind: BlockKind, peerId: string): boolean;
}

export class BlockDeeds {
  readonly #deps: BlockDeedsDeps;

  constructor(deps: BlockDeedsDeps) {
    this.#deps = deps;
  }

  block({ kind, peerId, reason }: z.output<typeof blockBody>): Promise<Done<{ readonly wasConnected: boolean }>> {
    const { audit, blocks, clock, isConnected } = this.#deps;
    return audited(audit, { action: kind === "peer" ? "revoke" : "block", subject: peerId }, async () => {
      const wasConnected = isConnected(kind, peerId);
      await blocks.block({ kind, peerId, reason, by: ACTOR, sinceMs: clock.wallNow() });
      return { answer: { wasConnected }, ...(reason !== "" && { detail: reason }) };
    });
  }

  unblock(kind: BlockKind, peerId: string): Promise<Done<{ readonly ok: true }>> {
    const { audit, blocks } = this.#deps;
    return audited(audit, { action: kind === "peer" ? "unrevoke" : "unblock", subject: peerId }, async () => {
      if (await blocks.unblock(kind, peerId)) return { answer: { ok: true } };
      return new Problem("not_found", `Cannot lift a block: the ${kind} ${peerId} is not blocked`);
    });
  }
}

export function addBlockDeeds(app: Hono, deeds: BlockDeeds, deps: { readonly audit: AuditStore }): void {
  app.post("/v1/blocks", async (context) => {
    const body = await bodyOf(context, deps, { action: "block", schema: blockBody });
    return body instanceof Problem ? body.response() : answerOf(await deeds.block(body));
  });
  app.delete("/v1/blocks/:kind/:peerId", async (context) => {
    const path = paramsOf(context, blockBody.pick({ kind: true, peerId: true }));
    return path instanceof Problem ? path.response() : answerOf(await deeds.unblock(path.kind, path.peerId));
  });
}
