/** Operations of whoever shares their connection: nodes, earnings, payouts. All take the role "operator". */

import { z } from "zod";
import * as fields from "../../../protocol/fields.ts";
import { accessIdSchema } from "../../../protocol/sharing/access_records.ts";
import type { Operation } from "../../openapi.ts";
import { CHANGE_PROBLEMS, READ_PROBLEMS } from "./problems.ts";
import { codeTextSchema } from "./session.ts";
import {
  amountSchema,
  codeViewSchema,
  moneySchema,
  nodeViewSchema,
  okSchema,
  pageQuerySchema,
  payoutViewSchema,
  spanQuerySchema,
} from "./views.ts";

export const nodeListSchema = z.object({
  nodes: z.array(nodeViewSchema).max(1000),
  next: z.string().max(128).optional(),
});

export const payoutListSchema = z.object({
  payouts: z.array(payoutViewSchema).max(1000),
  next: z.string().max(128).optional(),
});

export const listNodes = {
  id: "listNodes",
  method: "get",
  path: "/v1/nodes",
  summary: "One's own nodes",
  description: "With their standing and score, and what they do while they are connected.",
  role: "operator",
  query: pageQuerySchema,
  answer: { status: 200, schema: nodeListSchema, description: "A page of them; pass next as after." },
  problems: READ_PROBLEMS,
} as const satisfies Operation;

export const enrolNode = {
  id: "enrolNode",
  method: "post",
  path: "/v1/nodes/codes",
  summary: "Make a code that adds a node",
  description: "Counts once, for a day. The node tells it when it connects for the first time.",
  role: "operator",
  body: z.object({ label: fields.remarkSchema.min(1).max(64) }),
  answer: {
    status: 201,
    schema: z.object({ code: codeTextSchema, ...codeViewSchema.pick({ codeId: true, expiresAtMs: true }).shape }),
    description: "The code; it is told once.",
  },
  problems: [...CHANGE_PROBLEMS, "conflict"],
} as const satisfies Operation;

export const listNodeCodes = {
  id: "listNodeCodes",
  method: "get",
  path: "/v1/nodes/codes",
  summary: "Codes that still add a node",
  description: "Without the codes themselves.",
  role: "operator",
  answer: { status: 200, schema: z.object({ codes: z.array(codeViewSchema).max(64) }), description: "All of them." },
  problems: READ_PROBLEMS,
} as const satisfies Operation;

export const revokeNodeCode = {
  id: "revokeNodeCode",
  method: "post",
  path: "/v1/nodes/codes/revoke",
  summary: "Revoke a code",
  description: "It adds no node any more.",
  role: "operator",
  body: z.object({ codeId: accessIdSchema }),
  answer: { status: 200, schema: okSchema, description: "It is gone." },
  problems: [...CHANGE_PROBLEMS, "not_found"],
} as const satisfies Operation;

export const changeNode = {
  id: "changeNode",
  method: "post",
  path: "/v1/nodes/label",
  summary: "Name a node",
  description: "For its owner alone.",
  role: "operator",
  body: z.object({ nodeId: fields.peerIdSchema, label: fields.remarkSchema.min(1).max(64) }),
  answer: { status: 200, schema: nodeViewSchema, description: "The node as it is now." },
  problems: [...CHANGE_PROBLEMS, "not_found", "conflict"],
} as const satisfies Operation;

export const removeNode = {
  id: "removeNode",
  method: "post",
  path: "/v1/nodes/remove",
  summary: "Remove a node",
  description: "Ends its tunnels. It needs a new code to come back. A banned node stays, so that it stays banned.",
  role: "operator",
  body: z.object({ nodeId: fields.peerIdSchema }),
  answer: { status: 200, schema: okSchema, description: "It is gone." },
  problems: [...CHANGE_PROBLEMS, "not_found", "conflict"],
} as const satisfies Operation;

export const appeal = {
  id: "appeal",
  method: "post",
  path: "/v1/nodes/appeal",
  summary: "Say what speaks against a node's standing",
  description: "Of a node that is flagged, quarantined or banned. An admin answers it; one appeal at a time.",
  role: "operator",
  body: z.object({ nodeId: fields.peerIdSchema, text: fields.remarkSchema.min(1) }),
  answer: { status: 200, schema: nodeViewSchema, description: "The node as it is now." },
  problems: [...CHANGE_PROBLEMS, "not_found", "conflict"],
} as const satisfies Operation;

export const earningsSchema = z.object({
  fromMs: fields.timeSchema,
  toMs: fields.timeSchema,
  /** What was earned in that time, of all nodes. */
  total: moneySchema,
  nodes: z.array(z.object({
    nodeId: z.string().max(64),
    amount: moneySchema,
    upBytes: fields.countSchema,
    downBytes: fields.countSchema,
  })).max(1000),
  /** True when there were more rows than are looked at, and the figures are of the newest. */
  isPartial: z.boolean(),
});
export type EarningsView = z.infer<typeof earningsSchema>;

export const getEarnings = {
  id: "getEarnings",
  method: "get",
  path: "/v1/earnings",
  summary: "What one's nodes earned",
  description:
    "From the rows that are paid out, by node; the last 30 days unless told otherwise. Over time: /v1/usage " +
    "with side=operator.",
  role: "operator",
  query: spanQuerySchema,
  answer: { status: 200, schema: earningsSchema, description: "The most first." },
  problems: READ_PROBLEMS,
} as const satisfies Operation;

export const requestPayout = {
  id: "requestPayout",
  method: "post",
  path: "/v1/payouts",
  summary: "Ask for a payout",
  description: "The money is held until an admin has confirmed or refused it.",
  role: "operator",
  body: z.object({ amount: amountSchema, destination: fields.remarkSchema.min(1) }),
  answer: { status: 201, schema: payoutViewSchema, description: "The payout." },
  problems: [...CHANGE_PROBLEMS, "insufficient", "conflict"],
} as const satisfies Operation;

export const listPayouts = {
  id: "listPayouts",
  method: "get",
  path: "/v1/payouts",
  summary: "One's own payouts",
  description: "The newest first.",
  role: "operator",
  query: pageQuerySchema,
  answer: { status: 200, schema: payoutListSchema, description: "A page of them; pass next as after." },
  problems: READ_PROBLEMS,
} as const satisfies Operation;
