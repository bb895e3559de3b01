/**
 * What an administrator does at a supernode, by request (`admin_api.ts`) or from the dashboard (`dashboard_source.ts`). All of it
 * is in the audit log.
 */

import type { z } from "zod";
import { Problem } from "../../edge/problem.ts";
import type { AuditStore } from "../../kv/audit.ts";
import type { BlockStore } from "../../kv/blocks.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { CommandOrder } from "../../protocol/control/commands.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { Random } from "../../protocol/random.ts";
import { audited, type Done } from "../admin_api/audited.ts";
import { BlockDeeds } from "../admin_api/block_deeds.ts";
import type { doneAnswer } from "../admin_api/schema.ts";
import type { commandBody, offerAnswer, outcomeAnswer, staticSessionBody } from "./admin_schema.ts";
import { newId } from "./command_outbox.ts";
import type { Supernode } from "./supernode.ts";

export interface AdminDeedsDeps {
  readonly supernode: Supernode;
  readonly audit: AuditStore;
  readonly blocks: BlockStore;
  readonly clock: Clock;
  readonly random: Random;
  drain(leaveWithinMs: number): Promise<void>;
  /** Lets peers in again. */
  undrain(): Promise<void>;
}

type Fine = z.infer<typeof doneAnswer>;

export class AdminDeeds {
  readonly #deps: AdminDeedsDeps;
  readonly blocks: BlockDeeds;

  constructor(deps: AdminDeedsDeps) {
    this.#deps = deps;
    const { supernode } = deps;
    this.blocks = new BlockDeeds({
      ...deps,
      isConnected: (kind, id) =>
        kind === "peer" ? supernode.streams.get(id) !== undefined : supernode.links.linkOf({ kind, id }) !== undefined,
    });
  }

  push({ peerId, command, queue }: z.output<typeof commandBody>): Promise<Done<z.infer<typeof outcomeAnswer>>> {
    const { audit, supernode, random } = this.#deps;
    return audited(audit, { action: "push", subject: peerId }, async () => {
      if (!queue && !supernode.streams.get(peerId)) {
        return new Problem("not_found", `Cannot push a command: ${peerId} is not connected here`);
      }
      const order = { ...command, commandId: newId(random) } as CommandOrder;
      const outcome = await supernode.push(peerId, order);
      return {
        answer: { commandId: order.commandId, ...outcome },
        detail: `${order.kind}${outcome.ok ? "" : `: ${outcome.reason}`}`,
        hasFailed: !outcome.ok,
      };
    });
  }

  endSession(sessionId: string): Promise<Done<Fine>> {
    const { audit, supernode } = this.#deps;
    return audited(audit, { action: "end_session", subject: sessionId.slice(0, 64) }, async () => {
      if (await supernode.endSession(sessionId, "admin")) return { answer: { ok: true } };
      return new Problem("not_found", "Cannot end a session: there is none of that id here");
    });
  }

  drain(leaveWithinMs: number): Promise<Done<{ readonly streams: number }>> {
    const { audit, supernode, drain } = this.#deps;
    return audited(audit, { action: "drain" }, async () => {
      await drain(leaveWithinMs);
      return { answer: { streams: supernode.streams.size } };
    });
  }

  undrain(): Promise<Done<Fine>> {
    const { audit, undrain } = this.#deps;
    return audited(audit, { action: "undrain" }, async () => {
      await undrain();
      return { answer: { ok: true } };
    });
  }

  grantSession(body: z.output<typeof staticSessionBody>): Promise<Done<z.infer<typeof offerAnswer>>> {
    const { audit, supernode } = this.#deps;
    return audited(audit, { action: "grant_session", subject: body.keys.peerId }, async () => {
      try {
        const grant = await supernode.grantStatic(body);
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
  }
}
