/**
 * What an orchestrator tells over HTTP of users, nodes and money. Money travels as a decimal in text ("12.50"), since no
 * JSON number holds it exactly; `protocol/sharing/money.ts` reads and writes it.
 */

import { z } from "zod";
import * as fields from "../../../protocol/fields.ts";
import { apiKeySchema, enrolmentSchema } from "../../../protocol/sharing/access_records.ts";
import { payoutStates } from "../../../protocol/sharing/payout.ts";
import { nodeStatusSchema } from "../../../protocol/sharing/node_messages.ts";
import { transferReasons } from "../../../protocol/sharing/ledger.ts";
import {
  deviceSchema,
  sharingSessionSchema,
  userIdSchema,
  userRoles,
  userSchema,
} from "../../../protocol/sharing/records.ts";

/** Millionths at most; negative only where a balance's change is meant. */
export const moneySchema = z.string().regex(/^-?\d{1,15}(?:\.\d{1,6})?$/, "a decimal with at most six places");

/** What somebody asks for: above nothing. */
export const amountSchema = z.string().regex(
  /^(?=.*[1-9])\d{1,9}(?:\.\d{1,6})?$/,
  "a decimal above 0 with at most nine places before the point and six after it",
);

export const countrySchema = z.string().regex(/^[a-z]{2}$/);
export const rolesSchema = z.array(z.enum(userRoles)).max(userRoles.length);

/** The id of anything that is listed: what no store chokes on. */
export const idTextSchema = z.string().regex(/^[!-~]{1,128}$/);

/** Of a page of a list: how many, and after which id. */
export const pageQuerySchema = z.object({
  limit: z.int().min(1).max(1000).optional(),
  after: idTextSchema.optional(),
});

export const spanQuerySchema = z.object({ fromMs: fields.timeSchema.optional(), toMs: fields.timeSchema.optional() });

export const okSchema = z.object({ status: z.literal("ok") });

export const userViewSchema = userSchema.omit({ secretHash: true, proxySecretHash: true }).extend({
  hasSecret: z.boolean(),
  hasProxySecret: z.boolean(),
});
export type UserView = z.infer<typeof userViewSchema>;

export const balanceSchema = z.object({
  currency: z.string().max(8),
  /** What a client may still spend. */
  available: moneySchema,
  /** Of the rest, what is set aside for what is going on now. */
  held: moneySchema,
  /** What an operator may still have paid out, and what is on its way out. */
  earned: moneySchema,
  inPayout: moneySchema,
});
export type BalanceView = z.infer<typeof balanceSchema>;

export const usagePointSchema = z.object({
  atMs: fields.timeSchema,
  upBytes: fields.countSchema,
  downBytes: fields.countSchema,
  /** What a client was charged, or an operator earned, in that time. */
  amount: moneySchema,
});
export type UsagePoint = z.infer<typeof usagePointSchema>;

/** A transfer as it looks from one account. */
export const statementRowSchema = z.object({
  id: z.string().max(128),
  atMs: fields.timeSchema,
  reason: z.enum(transferReasons),
  /** Above nothing when the account gained, below when it lost. */
  amount: moneySchema,
  /** Of it, what is only held. */
  isPending: z.boolean(),
  memo: z.record(z.string().max(64), z.union([z.string().max(512), z.number()])).optional(),
});
export type StatementRow = z.infer<typeof statementRowSchema>;

export const priceViewSchema = z.object({
  region: fields.nameSchema,
  tier: fields.nameSchema,
  perGib: moneySchema,
  feeBasisPoints: z.int().min(0).max(10_000),
});
export type PriceView = z.infer<typeof priceViewSchema>;

/** Where there are open nodes now: what a client may ask for. */
export const placeSchema = z.object({
  region: fields.nameSchema,
  country: countrySchema.optional(),
  city: fields.nameSchema.optional(),
  nodes: fields.countSchema,
});
export type Place = z.infer<typeof placeSchema>;

export const apiKeyViewSchema = apiKeySchema.omit({ secretHash: true });
export type ApiKeyView = z.infer<typeof apiKeyViewSchema>;

export const codeViewSchema = enrolmentSchema;
export type CodeView = z.infer<typeof codeViewSchema>;

export const liveNodeViewSchema = z.object({
  virtualAddress: fields.ipSchema,
  connectedAtMs: fields.timeSchema,
  isOpen: z.boolean(),
  tunnels: fields.countSchema,
  streams: fields.countSchema,
  rttMs: z.number().min(0).optional(),
  /** As it last said: what it does, why it is paused, how much is left of its owner's caps. */
  status: nodeStatusSchema.optional(),
});
export type LiveNodeView = z.infer<typeof liveNodeViewSchema>;

export const nodeViewSchema = deviceSchema.omit({ consent: true }).extend({
  consentVersion: fields.nameSchema,
  consentAtMs: fields.timeSchema,
  /** While it is connected. */
  live: liveNodeViewSchema.optional(),
});
export type NodeView = z.infer<typeof nodeViewSchema>;

export const payoutViewSchema = z.object({
  payoutId: z.string().max(128),
  userId: userIdSchema,
  amount: moneySchema,
  /** Where the money is to go, in the operator's words. */
  destination: fields.remarkSchema,
  status: z.enum(payoutStates),
  /** Of a refusal: why. Of a payment: under which number it was made. */
  note: fields.remarkSchema.optional(),
  /** Why an admin should look twice, such as "self-dealing". */
  flags: z.array(fields.remarkSchema).max(16),
  requestedAtMs: fields.timeSchema,
  decidedAtMs: fields.timeSchema.optional(),
});
export type PayoutView = z.infer<typeof payoutViewSchema>;

export const auditEntryViewSchema = z.object({
  id: z.string().max(64),
  atMs: fields.timeSchema,
  actor: z.string().max(128),
  action: z.string().max(64),
  subject: z.string().max(256).optional(),
  outcome: z.enum(["done", "refused", "failed"]),
  detail: z.string().max(1024).optional(),
});
export type AuditEntryView = z.infer<typeof auditEntryViewSchema>;

export { sharingSessionSchema };
