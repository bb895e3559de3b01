/** Operations of a client: their account, money, use and API keys. All take the role "user", which every account has. */

import { z } from "zod";
import * as fields from "../../../protocol/fields.ts";
import { accessIdSchema } from "../../../protocol/sharing/access_records.ts";
import { userIdSchema } from "../../../protocol/sharing/records.ts";
import type { Operation } from "../../openapi.ts";
import { CHANGE_PROBLEMS, READ_PROBLEMS } from "./problems.ts";
import { secretTextSchema } from "./session.ts";
import {
  amountSchema,
  apiKeyViewSchema,
  balanceSchema,
  okSchema,
  pageQuerySchema,
  rolesSchema,
  sharingSessionSchema,
  spanQuerySchema,
  statementRowSchema,
  usagePointSchema,
  userViewSchema,
} from "./views.ts";

export const getAccount = {
  id: "getAccount",
  method: "get",
  path: "/v1/account",
  summary: "One's own account",
  description: "Roles, tier, limits, and whether it is suspended or payouts are held.",
  role: "user",
  answer: { status: 200, schema: userViewSchema, description: "The account." },
  problems: READ_PROBLEMS,
} as const satisfies Operation;

export const changeAccount = {
  id: "changeAccount",
  method: "post",
  path: "/v1/account",
  summary: "Change one's own account",
  description: "What is left out stays. proxyAllowed: addresses and networks that proxy logins count from; [] for any.",
  role: "user",
  body: z.object({
    name: fields.remarkSchema.min(1).max(64).optional(),
    proxyAllowed: z.array(fields.cidrSchema).max(32).optional(),
    /** Adds the role "operator": they may add nodes then. */
    becomeOperator: z.literal(true).optional(),
  }),
  answer: { status: 200, schema: userViewSchema, description: "The account as it is now." },
  problems: [...CHANGE_PROBLEMS, "conflict"],
} as const satisfies Operation;

export const newSecret = {
  id: "newSecret",
  method: "post",
  path: "/v1/account/secret",
  summary: "Make a new secret to log in with",
  description: "The one before counts no more, and every other login has ended. Not with an API key. It is told once.",
  role: "user",
  body: z.object({}),
  answer: { status: 201, schema: z.object({ secret: secretTextSchema }), description: "The secret." },
  problems: [...CHANGE_PROBLEMS, "conflict"],
} as const satisfies Operation;

export const newProxySecret = {
  id: "newProxySecret",
  method: "post",
  path: "/v1/account/proxy-secret",
  summary: "Make a new secret for programs that use the proxy",
  description:
    "The one before counts no more. It is told once. A program logs in as the userId, with what it asks for " +
    'behind it: "<userId>-country-de-session-a1-ttl-10m".',
  role: "user",
  body: z.object({}),
  answer: {
    status: 201,
    schema: z.object({ userId: userIdSchema, secret: secretTextSchema }),
    description: "The login.",
  },
  problems: [...CHANGE_PROBLEMS, "conflict"],
} as const satisfies Operation;

export const getBalance = {
  id: "getBalance",
  method: "get",
  path: "/v1/balance",
  summary: "One's own money",
  description: "As the ledger has it.",
  role: "user",
  answer: { status: 200, schema: balanceSchema, description: "As a client and as an operator." },
  problems: READ_PROBLEMS,
} as const satisfies Operation;

const sideSchema = z.enum(["client", "operator"]);

export const getUsage = {
  id: "getUsage",
  method: "get",
  path: "/v1/usage",
  summary: "Bytes and money over time",
  description:
    "From the rows that are paid. At most 1,000 points; the last 24 hours by the hour unless told otherwise. " +
    "Points in which nothing happened are left out.",
  role: "user",
  query: spanQuerySchema.extend({
    side: sideSchema.optional(),
    stepMs: z.int().min(60_000).max(31 * 86_400_000).optional(),
  }),
  answer: {
    status: 200,
    schema: z.object({
      fromMs: fields.timeSchema,
      toMs: fields.timeSchema,
      stepMs: fields.countSchema,
      points: z.array(usagePointSchema).max(1000),
      /** True when there were more rows than are looked at, and the points are of the newest. */
      isPartial: z.boolean(),
    }),
    description: "The oldest first.",
  },
  problems: READ_PROBLEMS,
} as const satisfies Operation;

export const getStatement = {
  id: "getStatement",
  method: "get",
  path: "/v1/statement",
  summary: "What money moved, and why",
  description:
    "The newest first, 100 unless told otherwise. With format=csv as a file: of everything there is, up to 50,000 rows, unless told otherwise.",
  role: "user",
  query: spanQuerySchema.extend({
    side: sideSchema.optional(),
    limit: z.int().min(1).max(1000).optional(),
    /** The place of the last row of the page before. */
    before: fields.countSchema.optional(),
    format: z.enum(["json", "csv"]).optional(),
  }),
  answer: {
    status: 200,
    schema: z.object({ rows: z.array(statementRowSchema).max(1000), next: fields.countSchema.optional() }),
    description: "The rows; next when there are more: pass it as before.",
    alsoAs: "text/csv",
  },
  problems: READ_PROBLEMS,
} as const satisfies Operation;

export const listUses = {
  id: "listUses",
  method: "get",
  path: "/v1/uses",
  summary: "Through which nodes one's programs went",
  description: "Bytes and streams by session: first those that go on, then those that have ended, the newest first.",
  role: "user",
  query: pageQuerySchema,
  answer: {
    status: 200,
    schema: z.object({ uses: z.array(sharingSessionSchema).max(2000), next: z.string().max(128).optional() }),
    description: "A page of them; next when there are more: pass it as after.",
  },
  problems: READ_PROBLEMS,
} as const satisfies Operation;

export const topUp = {
  id: "topUp",
  method: "post",
  path: "/v1/top-ups",
  summary: "Begin to pay money in",
  description: "Gives the payment provider's page. The money is there once the provider says that it was paid.",
  role: "user",
  body: z.object({ provider: fields.nameSchema, amount: amountSchema }),
  answer: { status: 201, schema: z.object({ url: z.string().max(2048) }), description: "Where to pay." },
  problems: [...CHANGE_PROBLEMS, "not_found"],
} as const satisfies Operation;

export const listApiKeys = {
  id: "listApiKeys",
  method: "get",
  path: "/v1/api-keys",
  summary: "One's own API keys",
  description: "Without their secrets, which nobody has but their owner.",
  role: "user",
  answer: { status: 200, schema: z.object({ keys: z.array(apiKeyViewSchema).max(64) }), description: "All of them." },
  problems: READ_PROBLEMS,
} as const satisfies Operation;

export const newApiKey = {
  id: "newApiKey",
  method: "post",
  path: "/v1/api-keys",
  summary: "Make an API key",
  description: "Counts as a bearer token until it expires or is revoked, for the roles that are named and its owner " +
    "still has. It is told once. Not with an API key: keys make no keys. At most 32 of them.",
  role: "user",
  body: z.object({
    label: fields.remarkSchema.min(1).max(64),
    roles: rolesSchema.min(1),
    expiresAtMs: fields.timeSchema.optional(),
  }),
  answer: {
    status: 201,
    schema: z.object({ key: apiKeyViewSchema, token: secretTextSchema }),
    description: "The key; token is what goes into the header.",
  },
  problems: [...CHANGE_PROBLEMS, "conflict"],
} as const satisfies Operation;

export const revokeApiKey = {
  id: "revokeApiKey",
  method: "post",
  path: "/v1/api-keys/revoke",
  summary: "Revoke an API key",
  description: "It counts no more at once.",
  role: "user",
  body: z.object({ keyId: accessIdSchema }),
  answer: { status: 200, schema: okSchema, description: "It is gone." },
  problems: [...CHANGE_PROBLEMS, "not_found"],
} as const satisfies Operation;
