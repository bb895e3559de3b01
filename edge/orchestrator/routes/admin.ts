/** Handlers of `api/admin.ts` about nodes, payouts and the audit log; those about accounts are in `admin_users.ts`. */

import { FEES_ACCOUNT } from "../../../protocol/sharing/ledger.ts";
import { formatMicros } from "../../../protocol/sharing/money.ts";
import type { Device } from "../../../protocol/sharing/records.ts";
import { Problem } from "../../problem.ts";
import type { Access } from "../access.ts";
import * as api from "../api.ts";
import { type ConnectedNodes, ONLINE_NODES, type OrchestratorDeps } from "../deps.ts";
import { changeDevice } from "../devices.ts";
import type { Operations } from "../http.ts";
import { nodeView, pageOf, payoutView, problemOfDesk } from "../views.ts";
import { keysMayNot } from "./account.ts";
import { serveUsers } from "./admin_users.ts";

const DEFAULT_LIMIT = 100;
/** More are not counted for the overview. */
const MAX_COUNTED = 1000;

export function serveAdmins(operations: Operations, deps: OrchestratorDeps, access: Access): void {
  operations.serve(api.getOverview, () => overviewOf(deps));
  serveUsers(operations, deps, access);
  serveNodes(operations, deps, access);
  servePayouts(operations, deps);
  serveAudit(operations, deps);
}

async function overviewOf(
  { nodes, counters, traffic, payouts, ledger, tables }: OrchestratorDeps,
): Promise<api.OverviewView> {
  const [online, minutes, totals, fees, pending, ...judged] = await Promise.all([
    counters.online(ONLINE_NODES),
    traffic?.bytesByMinute(),
    ledger.totals(),
    ledger.balance(FEES_ACCOUNT),
    payouts.list({ status: "pending", limit: MAX_COUNTED }),
    ...["flagged", "quarantined", "banned"].map((value) =>
      tables.devices.list({ index: "standing", value }, { limit: MAX_COUNTED })
    ),
  ]);
  const appeals = judged.flat().filter(({ record: { appeal } }) => appeal && appeal.answer === undefined);
  return {
    ...countsOf(nodes),
    nodesConnected: Math.max(nodes.size, online.length),
    // The present minute is not over.
    ...(minutes && { megabitsPerSecond: (minutes.at(-2) ?? 0) * 8 / 60e6 }),
    payoutsPending: pending.length,
    appealsOpen: appeals.length,
    debits: formatMicros(totals.debitsPosted),
    credits: formatMicros(totals.creditsPosted),
    fees: formatMicros(fees.creditsPosted - fees.debitsPosted),
  };
}

function countsOf(
  nodes: ConnectedNodes,
): Pick<api.OverviewView, "nodesOpen" | "tunnels" | "streams"> {
  let nodesOpen = 0;
  let tunnels = 0;
  let streams = 0;
  for (const node of nodes.all()) {
    if (node.isOpen) nodesOpen += 1;
    tunnels += node.tunnels;
    streams += node.streams;
  }
  return { nodesOpen, tunnels, streams };
}

function serveNodes(operations: Operations, deps: OrchestratorDeps, access: Access): void {
  const { nodes, desk, tables: { devices } } = deps;
  const unknown = () => new Problem("not_found", "Cannot do this: there must be such a node");

  operations.serve(api.listAllNodes, async ({ query: { limit = DEFAULT_LIMIT, after, standing, ownerId } }) => {
    const where = ownerId !== undefined
      ? { index: "owner", value: ownerId }
      : standing !== undefined
      ? { index: "standing", value: standing }
      : undefined;
    const found = await devices.list(where, { limit, ...(after !== undefined && { after }) });
    const records = found.map(({ record }) => record);
    const shown = records.filter((record) => standing === undefined || record.standing === standing);
    return { nodes: shown.map((record) => nodeView(record, nodes)), ...pageOf(records, limit, ({ nodeId }) => nodeId) };
  });

  operations.serve(api.judgeNode, async ({ caller, body: { nodeId, standing, reason, answer } }) => {
    const { userId } = caller.user;
    if (answer !== undefined) {
      const answered = await changeDevice(devices, nodeId, (device) => closeAppeal(device, answer));
      if (!answered || answered instanceof Problem) return answered ?? unknown();
      await access.audit.note(userId, "node.appeal_answered", { subject: nodeId, detail: answer });
    }
    if (!await desk.decree(nodeId, { standing, reason }, userId)) return unknown();
    const found = await devices.get(nodeId);
    return found ? nodeView(found.record, nodes) : unknown();
  });

  operations.serve(api.disconnectNode, async ({ caller, body: { nodeId, reason } }) => {
    if (!nodes.get(nodeId)) return unknown();
    await access.audit.note(caller.user.userId, "node.disconnected", { subject: nodeId, detail: reason });
    nodes.disconnect(nodeId, reason);
    return { status: "ok" as const };
  });
}

function closeAppeal(device: Device, answer: string): Device | Problem {
  const { appeal } = device;
  if (!appeal || appeal.answer !== undefined) {
    return new Problem("conflict", "Cannot answer: there must be an appeal that was not answered");
  }
  return { ...device, appeal: { ...appeal, answer } };
}

function servePayouts(operations: Operations, { payouts }: OrchestratorDeps): void {
  operations.serve(api.listAllPayouts, async ({ query: { limit = DEFAULT_LIMIT, after, status = "pending" } }) => {
    const found = await payouts.list({ status, limit, ...(after !== undefined && { after }) });
    return { payouts: found.map(payoutView), ...pageOf(found, limit, ({ payoutId }) => payoutId) };
  });

  operations.serve(api.decidePayout, async ({ caller, body }) => {
    if ("keyId" in caller.by) return keysMayNot("decide about a payout");
    const decided = await payouts.decide({ ...body, by: caller.user.userId });
    return "refusal" in decided ? problemOfDesk(decided) : payoutView(decided);
  });
}

function serveAudit(operations: Operations, { audit }: OrchestratorDeps): void {
  operations.serve(api.listAudit, async ({ query: { limit = DEFAULT_LIMIT, before } }) => {
    const found = await audit.list({ limit, ...(before !== undefined && { before }) });
    const entries = found.map(({ id, atMs, actor, action, subject, outcome, detail }) => ({
      id,
      atMs,
      actor,
      action,
      ...(subject !== undefined && { subject }),
      outcome,
      ...(detail !== undefined && { detail }),
    }));
    return { entries, ...pageOf(entries, limit, ({ id }) => id) };
  });

  operations.serve(api.verifyAudit, async () => {
    const { isWhole, entries, detail } = await audit.verify();
    return { isWhole, entries, ...(detail !== undefined && { detail }) };
  });
}
