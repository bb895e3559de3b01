/** Operations of whoever runs the orchestrator. All take the role "admin", and all that change something are audited. */

import { z } from "zod";
import * as fields from "../../../protocol/fields.ts";
import { accessIdSchema } from "../../../protocol/sharing/access_records.ts";
import { nodeStandings, userIdSchema, userLimitsSchema, userRoles } from "../../../protocol/sharing/records.ts";
import { payoutStates } from "../../../protocol/sharing/payout.ts";
import type { Operation } from "../../openapi.ts";
import { nodeListSchema, payoutListSchema } from "./operator.ts";
import { CHANGE_PROBLEMS, READ_PROBLEMS } from "./problems.ts";
import { codeTextSchema } from "./session.ts";
import {
  amountSchema,
  auditEntryViewSchema,
  balanceSchema,
  codeViewSchema,
  idTextSchema,
  moneySchema,
  nodeViewSchema,
  okSchema,
  pageQuerySchema,
  payoutViewSchema,
  rolesSchema,
  userViewSchema,
} from "./views.ts";

const role = "admin";
const reasonSchema = fields.remarkSchema.min(1);

export const overviewSchema = z.object({
  /** At all processes of the orchestrator; the next three at the one that answers. */
  nodesConnected: fields.countSchema,
  nodesOpen: fields.countSchema,
  tunnels: fields.countSchema,
  streams: fields.countSchema,
  /** Of all clients, in the last whole minute. */
  megabitsPerSecond: z.number().min(0).optional(),
  payoutsPending: fields.countSchema,
  appealsOpen: fields.countSchema,
  /** Sums over the whole ledger: equal, or something is badly wrong. */
  debits: moneySchema,
  credits: moneySchema,
  fees: moneySchema,
});
export type OverviewView = z.infer<typeof overviewSchema>;

export const getOverview = {
  id: "getOverview",
  method: "get",
  path: "/v1/admin/overview",
  summary: "How things stand",
  description: "Nodes that are connected, what waits for an admin, and whether the ledger is whole.",
  role,
  answer: { status: 200, schema: overviewSchema, description: "As of now." },
  problems: READ_PROBLEMS,
} as const satisfies Operation;

export const listUsers = {
  id: "listUsers",
  method: "get",
  path: "/v1/admin/users",
  summary: "Accounts",
  description: "By their ids; 100 unless told otherwise.",
  role,
  query: pageQuerySchema,
  answer: {
    status: 200,
    schema: z.object({ users: z.array(userViewSchema).max(1000), next: z.string().max(128).optional() }),
    description: "A page of them; pass next as after.",
  },
  problems: READ_PROBLEMS,
} as const satisfies Operation;

export const getUser = {
  id: "getUser",
  method: "get",
  path: "/v1/admin/user",
  summary: "One account and its money",
  description: "As its owner sees it.",
  role,
  query: z.object({ userId: userIdSchema }),
  answer: {
    status: 200,
    schema: z.object({ user: userViewSchema, balance: balanceSchema }),
    description: "The account.",
  },
  problems: [...READ_PROBLEMS, "not_found"],
} as const satisfies Operation;

export const changeUser = {
  id: "changeUser",
  method: "post",
  path: "/v1/admin/user",
  summary: "Change an account",
  description:
    "What is left out stays. A suspended account can neither log in nor use the proxy, and what it does at " +
    "present ends. null takes a limit, hold or reason away. Nobody takes their own role of admin, or suspends themselves.",
  role,
  body: z.object({
    userId: userIdSchema,
    status: z.enum(["active", "suspended"]).optional(),
    roles: rolesSchema.optional(),
    tier: fields.nameSchema.optional(),
    limits: userLimitsSchema.nullable().optional(),
    payoutHold: z.object({ untilMs: fields.timeSchema, reason: reasonSchema }).nullable().optional(),
    /** Why, for the audit log and, with a suspension, for the account's owner. */
    reason: reasonSchema,
  }),
  answer: { status: 200, schema: userViewSchema, description: "The account as it is now." },
  problems: [...CHANGE_PROBLEMS, "not_found", "conflict"],
} as const satisfies Operation;

export const endLogins = {
  id: "endLogins",
  method: "post",
  path: "/v1/admin/user/end-logins",
  summary: "End all logins of an account",
  description: "Revokes its refresh tokens; with keys, its API keys too.",
  role,
  body: z.object({ userId: userIdSchema, keys: z.boolean().optional(), reason: reasonSchema }),
  answer: { status: 200, schema: okSchema, description: "They have ended." },
  problems: [...CHANGE_PROBLEMS, "not_found"],
} as const satisfies Operation;

export const giveCredit = {
  id: "giveCredit",
  method: "post",
  path: "/v1/admin/credits",
  summary: "Give an account money, or take some back",
  description:
    "From or to the house's account of promotions. Nothing is taken that is not there. The same id again does " +
    "nothing, so a request that was not answered can be sent again.",
  role,
  body: z.object({
    id: z.string().regex(/^[A-Za-z0-9_-]{8,64}$/),
    userId: userIdSchema,
    direction: z.enum(["give", "take"]),
    amount: amountSchema,
    reason: reasonSchema,
  }),
  answer: { status: 200, schema: balanceSchema, description: "The account's money as it is now." },
  problems: [...CHANGE_PROBLEMS, "not_found", "insufficient", "conflict"],
} as const satisfies Operation;

export const invite = {
  id: "invite",
  method: "post",
  path: "/v1/admin/invitations",
  summary: "Invite somebody",
  description: "The code opens one account, within 7 days.",
  role,
  body: z.object({ label: fields.remarkSchema.min(1).max(64), roles: z.array(z.enum(userRoles)).max(3).optional() }),
  answer: {
    status: 201,
    schema: z.object({ code: codeTextSchema, ...codeViewSchema.pick({ codeId: true, expiresAtMs: true }).shape }),
    description: "The code; it is told once.",
  },
  problems: CHANGE_PROBLEMS,
} as const satisfies Operation;

export const listInvitations = {
  id: "listInvitations",
  method: "get",
  path: "/v1/admin/invitations",
  summary: "Invitations that nobody has taken yet",
  description: "Without the codes themselves.",
  role,
  answer: {
    status: 200,
    schema: z.object({ invitations: z.array(codeViewSchema).max(1000) }),
    description: "All of them.",
  },
  problems: READ_PROBLEMS,
} as const satisfies Operation;

export const revokeInvitation = {
  id: "revokeInvitation",
  method: "post",
  path: "/v1/admin/invitations/revoke",
  summary: "Take an invitation back",
  description: "It opens no account any more.",
  role,
  body: z.object({ codeId: accessIdSchema }),
  answer: { status: 200, schema: okSchema, description: "It is gone." },
  problems: [...CHANGE_PROBLEMS, "not_found"],
} as const satisfies Operation;

export const listAllNodes = {
  id: "listAllNodes",
  method: "get",
  path: "/v1/admin/nodes",
  summary: "All nodes",
  description: "By their ids, connected or not; 100 unless told otherwise.",
  role,
  query: pageQuerySchema.extend({ standing: z.enum(nodeStandings).optional(), ownerId: userIdSchema.optional() }),
  answer: { status: 200, schema: nodeListSchema, description: "A page of them; pass next as after." },
  problems: READ_PROBLEMS,
} as const satisfies Operation;

export const judgeNode = {
  id: "judgeNode",
  method: "post",
  path: "/v1/admin/nodes/standing",
  summary: "Set a node's standing",
  description: "Its owner is told why. A node that is quarantined or banned gets no work; of one that is banned the " +
    "tunnels end. With answer, closes the owner's appeal.",
  role,
  body: z.object({
    nodeId: fields.peerIdSchema,
    standing: z.enum(nodeStandings),
    reason: reasonSchema,
    answer: reasonSchema.optional(),
  }),
  answer: { status: 200, schema: nodeViewSchema, description: "The node as it is now." },
  problems: [...CHANGE_PROBLEMS, "not_found", "conflict"],
} as const satisfies Operation;

export const disconnectNode = {
  id: "disconnectNode",
  method: "post",
  path: "/v1/admin/nodes/disconnect",
  summary: "End a node's tunnels",
  description: "It is told why, and may come back.",
  role,
  body: z.object({ nodeId: fields.peerIdSchema, reason: reasonSchema }),
  answer: { status: 200, schema: okSchema, description: "They have ended." },
  problems: [...CHANGE_PROBLEMS, "not_found"],
} as const satisfies Operation;

export const listAllPayouts = {
  id: "listAllPayouts",
  method: "get",
  path: "/v1/admin/payouts",
  summary: "Payouts of all operators",
  description: "Those that wait for an admin, unless told otherwise.",
  role,
  query: pageQuerySchema.extend({ status: z.enum(payoutStates).optional() }),
  answer: { status: 200, schema: payoutListSchema, description: "A page of them; pass next as after." },
  problems: READ_PROBLEMS,
} as const satisfies Operation;

export const decidePayout = {
  id: "decidePayout",
  method: "post",
  path: "/v1/admin/payouts/decide",
  summary: "Confirm a payout that was made, or refuse it",
  description:
    "paid: the held money leaves. refused: it is the operator's again. The same decision again does nothing.",
  role,
  body: z.object({ payoutId: idTextSchema, decision: z.enum(["paid", "refused"]), note: reasonSchema }),
  answer: { status: 200, schema: payoutViewSchema, description: "The payout as it is now." },
  problems: [...CHANGE_PROBLEMS, "not_found", "conflict"],
} as const satisfies Operation;

export const listAudit = {
  id: "listAudit",
  method: "get",
  path: "/v1/admin/audit",
  summary: "The audit log",
  description: "The newest first; 100 unless told otherwise.",
  role,
  query: z.object({
    limit: z.int().min(1).max(1000).optional(),
    before: z.string().regex(/^[1-9]\d{0,14}$/).optional(),
  }),
  answer: {
    status: 200,
    schema: z.object({ entries: z.array(auditEntryViewSchema).max(1000), next: z.string().max(64).optional() }),
    description: "A page of it; pass next as before.",
  },
  problems: READ_PROBLEMS,
} as const satisfies Operation;

export const verifyAudit = {
  id: "verifyAudit",
  method: "get",
  path: "/v1/admin/audit/verification",
  summary: "Whether the audit log is whole",
  description: "Follows the chain of hashes from the first entry to the last.",
  role,
  answer: {
    status: 200,
    schema: z.object({
      isWhole: z.boolean(),
      entries: fields.countSchema,
      /** What is wrong, when something is. */
      detail: z.string().max(1024).optional(),
    }),
    description: "Whether no entry was changed, removed or put elsewhere.",
  },
  problems: READ_PROBLEMS,
} as const satisfies Operation;
