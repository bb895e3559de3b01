/**
 * What an orchestrator offers over HTTP, as data: each operation with the schemas its requests are checked with.
 * `openapi.json` and the page at `/api` are made from it, and the pages in `edge/web/` are written to it.
 *
 *   api/session.ts    anyone: info, prices, places, logging in        api/operator.ts   nodes, earnings, payouts
 *   api/account.ts    a client: account, money, use, keys             api/admin.ts      accounts, nodes, payouts, audit
 *   api/machine.ts    probes through nodes, and webhooks of payment providers (`probe.ts` and `payments.ts` answer)
 *
 * Whoever must have a role shows it with `Authorization: Bearer <access token or API key>`. Identifiers travel in the query
 * or the body, never in the path; changes are POST, and their bodies JSON objects. Problems are RFC 9457.
 *
 * Not here: the nodes' WebSocket at /v1/node, `docs/node-protocol.md`.
 */

import * as fields from "../../protocol/fields.ts";
import { accessIdSchema } from "../../protocol/sharing/access_records.ts";
import { nodeStatusSchema } from "../../protocol/sharing/node_messages.ts";
import { deviceInfoSchema, userIdSchema, userLimitsSchema } from "../../protocol/sharing/records.ts";
import type { ApiDescription, NamedSchema, Operation } from "../openapi.ts";
import * as account from "./api/account.ts";
import * as admin from "./api/admin.ts";
import * as machine from "./api/machine.ts";
import * as operator from "./api/operator.ts";
import * as session from "./api/session.ts";
import * as views from "./api/views.ts";

export * from "./api/account.ts";
export * from "./api/admin.ts";
export * from "./api/operator.ts";
export * from "./api/session.ts";
export * from "./api/views.ts";

/** Every operation of the app, in the order in which they are described. */
export function orchestratorOperations(): Operation[] {
  return [session, account, operator, admin].flatMap((group) => Object.values(group).filter(isOperation));
}

/** Those of machines, which whoever serves the app puts beside it. */
export function machineOperations(): Operation[] {
  return Object.values(machine);
}

function isOperation(value: unknown): value is Operation {
  return typeof value === "object" && value !== null && "method" in value && "answer" in value;
}

export function orchestratorApi(version: string): ApiDescription {
  return {
    title: "Culvert orchestrator",
    version,
    description:
      "Accounts, money, nodes and logins of an orchestrator of shared connections. Money is a decimal in text.",
    operations: [...orchestratorOperations(), ...machineOperations()],
    schemas: namedSchemas(),
  };
}

function namedSchemas(): NamedSchema[] {
  return [
    { name: "Session", schema: session.sessionSchema },
    { name: "Info", schema: session.infoSchema },
    { name: "Health", schema: session.healthSchema },
    { name: "User", schema: views.userViewSchema },
    { name: "UserLimits", schema: userLimitsSchema, description: "What one account may do at once." },
    { name: "Balance", schema: views.balanceSchema },
    { name: "UsagePoint", schema: views.usagePointSchema },
    { name: "StatementRow", schema: views.statementRowSchema, description: "A transfer as it looks from one account." },
    { name: "Price", schema: views.priceViewSchema },
    { name: "Place", schema: views.placeSchema },
    { name: "Use", schema: views.sharingSessionSchema, description: "Of a node by a client, or a node's connection." },
    { name: "ApiKey", schema: views.apiKeyViewSchema },
    { name: "Code", schema: views.codeViewSchema, description: "An invitation, or what adds a node." },
    { name: "Node", schema: views.nodeViewSchema },
    { name: "LiveNode", schema: views.liveNodeViewSchema, description: "What a node does while it is connected." },
    { name: "NodeStatus", schema: nodeStatusSchema, description: "How a node is doing, as it says." },
    { name: "DeviceInfo", schema: deviceInfoSchema, description: "What a node says of its machine." },
    { name: "NodeList", schema: operator.nodeListSchema },
    { name: "Earnings", schema: operator.earningsSchema },
    { name: "Payout", schema: views.payoutViewSchema },
    { name: "PayoutList", schema: operator.payoutListSchema },
    { name: "Overview", schema: admin.overviewSchema },
    { name: "AuditEntry", schema: views.auditEntryViewSchema },
    { name: "Ok", schema: views.okSchema },
    { name: "Money", schema: views.moneySchema, description: "A decimal in text, in the orchestrator's currency." },
    { name: "Amount", schema: views.amountSchema, description: "Money, above nothing." },
    { name: "UserId", schema: userIdSchema },
    { name: "AccessId", schema: accessIdSchema, description: "Names a key or a code, and is no secret." },
    { name: "PeerId", schema: fields.peerIdSchema, description: "base32(SHA-256(identity public key)[0..16])." },
    { name: "Name", schema: fields.nameSchema, description: "Such as that of a region." },
    { name: "Time", schema: fields.timeSchema, description: "Milliseconds since 1970." },
    { name: "Address", schema: fields.ipSchema },
    { name: "Network", schema: fields.cidrSchema, description: "An address, or a network with its length." },
    { name: "Count", schema: fields.countSchema },
    { name: "Share", schema: fields.shareSchema },
  ];
}
