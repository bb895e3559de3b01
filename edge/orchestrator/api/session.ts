/**
 * Operations of whoever is not logged in yet, and of logins.
 *
 *   log in ─▶ access token (minutes, in memory) + refresh token (weeks, used once) ─▶ refresh ─▶ both anew …
 *
 * A page asks for the refresh token as a cookie that no script can read; a program asks for it in the answer.
 */

import { z } from "zod";
import * as fields from "../../../protocol/fields.ts";
import { userIdSchema } from "../../../protocol/sharing/records.ts";
import type { Operation } from "../../openapi.ts";
import { ANY_PROBLEMS, BODY_PROBLEMS } from "./problems.ts";
import { moneySchema, okSchema, placeSchema, priceViewSchema, userViewSchema } from "./views.ts";

/** What an account, API key or proxy login is shown with. */
export const secretTextSchema = z.string().min(1).max(256);
export const codeTextSchema = z.string().min(1).max(64);

const keepSchema = z.object({
  /** Where the refresh token goes: a cookie, for pages, or the answer, for programs. Default "body". */
  refresh: z.enum(["cookie", "body"]).optional(),
});

export const sessionSchema = z.object({
  accessToken: z.string().max(2048),
  /** When it counts no more: refresh somewhat before. */
  expiresAtMs: fields.timeSchema,
  /** Unless it is a cookie. */
  refreshToken: z.string().max(256).optional(),
  user: userViewSchema,
});
export type SessionView = z.infer<typeof sessionSchema>;

export const infoSchema = z.object({
  version: z.string().max(64),
  title: z.string().max(64),
  currency: z.string().max(8),
  /** The orchestrator's own peer id: what nodes know it by. */
  orchestratorId: fields.peerIdSchema,
  /** Where clients' programs connect to, as far as it is known; page and API are where this was answered. */
  proxy: z.object({ host: z.string().max(255), port: z.int().min(1).max(65535) }),
  /** Whether anybody may open an account by Telegram, or only who was invited. */
  signUp: z.enum(["open", "invited"]),
  /** The bot whose widget logs in, when there is one: its name without "@". */
  telegramBot: z.string().max(64).optional(),
  /** The same bot's number, which is the part of its token before the colon: pages begin Telegram's login with it. */
  telegramBotId: z.string().regex(/^\d{1,19}$/).optional(),
  /** Where money can come from; empty where only an admin gives credit. */
  paymentProviders: z.array(fields.nameSchema).max(8),
  smallestTopUp: moneySchema,
  smallestPayout: moneySchema,
  consentVersion: fields.nameSchema,
});
export type InfoView = z.infer<typeof infoSchema>;

export const info = {
  id: "info",
  method: "get",
  path: "/v1/info",
  summary: "What this orchestrator is, and how to log in",
  description: "Anyone may ask.",
  answer: { status: 200, schema: infoSchema, description: "What pages and programs need to begin with." },
  problems: ANY_PROBLEMS,
} as const satisfies Operation;

export const listPrices = {
  id: "listPrices",
  method: "get",
  path: "/v1/prices",
  summary: "Prices by region and tier",
  description: "Bytes up and down count alike. Of each charge the house keeps feeBasisPoints ten-thousandths.",
  answer: {
    status: 200,
    schema: z.object({ prices: z.array(priceViewSchema).max(10_000) }),
    description: "All of them.",
  },
  problems: ANY_PROBLEMS,
} as const satisfies Operation;

export const listPlaces = {
  id: "listPlaces",
  method: "get",
  path: "/v1/places",
  summary: "Where there are nodes now",
  description: "Regions, countries and cities with open nodes: what a proxy login may name.",
  answer: {
    status: 200,
    schema: z.object({ places: z.array(placeSchema).max(10_000) }),
    description: "Most nodes first.",
  },
  problems: ANY_PROBLEMS,
} as const satisfies Operation;

export const openAccount = {
  id: "openAccount",
  method: "post",
  path: "/v1/accounts",
  summary: "Open an account with an invitation",
  description: "Uses up the invitation. The secret is told once: it is what the account is logged into with.",
  body: keepSchema.extend({ invitation: codeTextSchema, name: fields.remarkSchema.min(1).max(64) }),
  answer: {
    status: 201,
    schema: sessionSchema.extend({ secret: secretTextSchema }),
    description: "The account, logged into.",
  },
  problems: [...BODY_PROBLEMS, "login_refused"],
} as const satisfies Operation;

export const logIn = {
  id: "logIn",
  method: "post",
  path: "/v1/session",
  summary: "Log in with an account's secret",
  description: "Who fails has to wait longer and longer, by address and by account.",
  body: keepSchema.extend({ userId: userIdSchema, secret: secretTextSchema }),
  answer: { status: 201, schema: sessionSchema, description: "The session." },
  problems: [...BODY_PROBLEMS, "login_refused", "suspended"],
} as const satisfies Operation;

export const logInByTelegram = {
  id: "logInByTelegram",
  method: "post",
  path: "/v1/session/telegram",
  summary: "Log in by Telegram",
  description:
    "Takes what the Login Widget gave (all its fields, unchanged) or a Mini App's initData. Opens an account " +
    "for whoever has none, where anybody may or with an invitation. With a token of an account, links that account.",
  body: keepSchema.extend({
    widget: z.record(z.string().max(64), z.union([z.string().max(2048), z.int()])).optional(),
    initData: z.string().max(8192).optional(),
    invitation: codeTextSchema.optional(),
  }),
  answer: { status: 201, schema: sessionSchema, description: "The session." },
  problems: [...BODY_PROBLEMS, "not_found", "login_refused", "suspended", "conflict"],
} as const satisfies Operation;

export const refreshSession = {
  id: "refreshSession",
  method: "post",
  path: "/v1/session/refresh",
  summary: "Exchange a refresh token for a new pair of tokens",
  description:
    "A refresh token counts once. When one is used again later than 10 seconds after, everything that came " +
    "out of its login is revoked. Without refreshToken the cookie is taken, and only from this site.",
  body: z.object({ refreshToken: z.string().max(256).optional() }),
  answer: { status: 200, schema: sessionSchema, description: "The session." },
  problems: [...BODY_PROBLEMS, "unauthorized", "token_expired", "suspended", "cross_site"],
} as const satisfies Operation;

export const logOut = {
  id: "logOut",
  method: "post",
  path: "/v1/session/end",
  summary: "End a session",
  description:
    "Revokes what came out of the login, and takes the cookie away. Access tokens count until they expire, " +
    "which is within minutes.",
  body: z.object({ refreshToken: z.string().max(256).optional() }),
  answer: { status: 200, schema: okSchema, description: "It has ended, or there was none." },
  problems: [...BODY_PROBLEMS, "cross_site"],
} as const satisfies Operation;

export const healthSchema = z.object({ status: z.literal("ok"), version: z.string() });

export const health = {
  id: "health",
  method: "get",
  path: "/healthz",
  summary: "Whether the orchestrator is up",
  description: "Answers while the event loop turns; does not ask the stores.",
  answer: { status: 200, schema: healthSchema, description: "It is." },
  problems: [],
} as const satisfies Operation;
