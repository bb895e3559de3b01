/** Handlers of `api/operator.ts`: what an operator does with their nodes and earnings. */

import { parseMicros } from "../../../protocol/sharing/money.ts";
import { Problem } from "../../problem.ts";
import type { Access } from "../access.ts";
import { MAX_NODE_CODES } from "../access/codes.ts";
import * as api from "../api.ts";
import type { OrchestratorDeps } from "../deps.ts";
import { changeDevice, removeDevice } from "../devices.ts";
import type { Operations } from "../http.ts";
import { earningsOf } from "../money_views.ts";
import { nodeView, pageOf, payoutView, problemOfDesk } from "../views.ts";
import { keysMayNot, spanOf } from "./account.ts";

const DEFAULT_LIMIT = 100;
const EARNINGS_MS = 30 * 86_400_000;
/** Standings that an owner may have something to say against. */
const APPEALABLE: ReadonlySet<string> = new Set(["flagged", "quarantined", "banned"]);

export function serveOperators(operations: Operations, deps: OrchestratorDeps, access: Access): void {
  serveNodes(operations, deps, access);
  serveCodes(operations, access);
  serveEarnings(operations, deps);
}

function serveNodes(operations: Operations, deps: OrchestratorDeps, access: Access): void {
  const { nodes, tables: { devices }, clock } = deps;
  const unknown = () => new Problem("not_found", "Cannot do this: the node must be one of yours");

  operations.serve(api.listNodes, async ({ caller, query: { limit = DEFAULT_LIMIT, after } }) => {
    const where = { index: "owner", value: caller.user.userId };
    const found = await devices.list(where, { limit, ...(after !== undefined && { after }) });
    const records = found.map(({ record }) => record);
    return {
      nodes: records.map((record) => nodeView(record, nodes)),
      ...pageOf(records, limit, ({ nodeId }) => nodeId),
    };
  });

  operations.serve(api.changeNode, async ({ caller, body: { nodeId, label } }) => {
    const changed = await changeDevice(
      devices,
      nodeId,
      (device) => device.ownerId === caller.user.userId ? { ...device, label } : unknown(),
    );
    if (!changed || changed instanceof Problem) return changed ?? unknown();
    await access.audit.note(caller.user.userId, "node.named", { subject: nodeId, detail: label });
    return nodeView(changed, nodes);
  });

  operations.serve(api.removeNode, async ({ caller, body: { nodeId } }) => {
    // First, or the node would be back with it before it is gone.
    await access.codes.forgetUsesBy(nodeId, caller.user.userId);
    const removed = await removeDevice(devices, nodeId, (device) => {
      if (device.ownerId !== caller.user.userId) return unknown();
      return device.standing === "banned"
        ? new Problem("conflict", "Cannot remove the node: it must not be banned")
        : undefined;
    });
    if (!removed || removed instanceof Problem) return removed ?? unknown();
    nodes.disconnect(nodeId, "Its owner has removed this node");
    await access.audit.note(caller.user.userId, "node.removed", { subject: nodeId });
    return { status: "ok" as const };
  });

  operations.serve(api.appeal, async ({ caller, body: { nodeId, text } }) => {
    const changed = await changeDevice(devices, nodeId, (device) => {
      if (device.ownerId !== caller.user.userId) return unknown();
      if (!APPEALABLE.has(device.standing)) {
        return new Problem("conflict", "Cannot appeal: the node must be flagged, quarantined or banned");
      }
      if (device.appeal && device.appeal.answer === undefined) {
        return new Problem("conflict", "Cannot appeal: the appeal before must be answered first");
      }
      return { ...device, appeal: { atMs: clock.wallNow(), text } };
    });
    if (!changed || changed instanceof Problem) return changed ?? unknown();
    await access.audit.note(caller.user.userId, "node.appeal", { subject: nodeId, detail: text });
    return nodeView(changed, nodes);
  });
}

function serveCodes(operations: Operations, { codes, audit }: Access): void {
  operations.serve(api.enrolNode, async ({ caller, body: { label } }) => {
    const { userId } = caller.user;
    if ((await codes.list("node", userId)).length >= MAX_NODE_CODES) {
      return new Problem("conflict", `Cannot make a code: there must be at most ${MAX_NODE_CODES} that are not used`);
    }
    const { code, enrolment } = await codes.make({ kind: "node", label, ownerId: userId });
    await audit.note(userId, "node.code", { subject: enrolment.codeId, detail: label });
    return { code, codeId: enrolment.codeId, expiresAtMs: enrolment.expiresAtMs };
  });

  operations.serve(api.listNodeCodes, async ({ caller }) => ({ codes: await codes.list("node", caller.user.userId) }));

  operations.serve(api.revokeNodeCode, async ({ caller, body: { codeId } }) => {
    const { userId } = caller.user;
    if (!await codes.revoke(codeId, "node", userId)) {
      return new Problem("not_found", "Cannot revoke: there is no such code");
    }
    await audit.note(userId, "node.code_revoked", { subject: codeId });
    return { status: "ok" as const };
  });
}

function serveEarnings(operations: Operations, { ledger, payouts, settings, clock }: OrchestratorDeps): void {
  operations.serve(api.getEarnings, async ({ caller, query }) => {
    const span = spanOf(query, clock.wallNow(), EARNINGS_MS);
    return await earningsOf(ledger, caller.user.userId, span);
  });

  operations.serve(api.requestPayout, async ({ caller, body }) => {
    if ("keyId" in caller.by) return keysMayNot("ask for a payout");
    const amount = parseMicros(body.amount)!;
    if (amount < settings.smallestPayout) {
      return new Problem("bad_request", "Cannot pay out: the amount must not be below the smallest payout");
    }
    const { destination } = body;
    const payout = await payouts.request({ userId: caller.user.userId, amount, destination });
    return "refusal" in payout ? problemOfDesk(payout) : payoutView(payout);
  });

  operations.serve(api.listPayouts, async ({ caller, query: { limit = DEFAULT_LIMIT, after } }) => {
    const { userId } = caller.user;
    const found = await payouts.list({ userId, limit, ...(after !== undefined && { after }) });
    return { payouts: found.map(payoutView), ...pageOf(found, limit, ({ payoutId }) => payoutId) };
  });
}
