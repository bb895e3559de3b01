/**
 * Who somebody is by Telegram's word, which comes signed with a secret that only Telegram and the bot's owner have:
 *
 *   text  = every field but `hash`, as "key=value", in the order of the keys, joined by line feeds
 *   hash  = hex HMAC-SHA256(secret, text)
 *
 *   Login Widget   secret = SHA-256(bot token)                        fields: id, first_name, auth_date, …
 *   Mini App       secret = HMAC-SHA256("WebAppData", bot token)      fields: those of initData, a query string; user is JSON
 *
 * `signature`, which newer clients add for third parties, is a field like the others: a sample that Telegram's client made
 * is in the test. A value with a line feed in it could be read as two fields, so there may be none. What is older than
 * `maxAgeMs` may have been stolen since, and does not count.
 *
 * Specs: core.telegram.org/widgets/login and core.telegram.org/bots/webapps, "Validating data received".
 */

import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { z } from "zod";
import { equalInConstantTime } from "../constant_time.ts";

export interface TelegramCheck {
  readonly botToken: string;
  readonly nowMs: number;
  /** Default 15 minutes. */
  readonly maxAgeMs?: number | undefined;
}

export interface TelegramUser {
  /** A number, in text. */
  readonly telegramId: string;
  /** For people, 64 characters at most. */
  readonly name: string;
}

export type TelegramFault =
  | "malformed" // it is not what Telegram gives
  | "forged" // the hash is not Telegram's, or it is another bot's
  | "stale"; // it is too old, or from the future

export type TelegramVerdict =
  | { readonly ok: true; readonly user: TelegramUser }
  | { readonly ok: false; readonly fault: TelegramFault };

const DEFAULT_MAX_AGE_MS = 15 * 60_000;
/** How far Telegram's clock may be ahead of ours. */
const SLACK_MS = 60_000;
const MAX_INIT_DATA_CHARACTERS = 8192;
const MAX_FIELDS = 32;
const MAX_NAME_CHARACTERS = 64;

const idSchema = z.int().min(1).max(2 ** 52);
const nameFields = {
  first_name: z.string().max(256).optional(),
  last_name: z.string().max(256).optional(),
  username: z.string().max(64).optional(),
};
const widgetSchema = z.object({ id: z.string().regex(/^[1-9]\d{0,15}$/), ...nameFields });
const webAppUserSchema = z.object({ id: idSchema, ...nameFields });

/** What the Login Widget gave: its fields as they came, numbers or texts. */
export function checkTelegramWidget(
  fields: Readonly<Record<string, string | number>>,
  check: TelegramCheck,
): TelegramVerdict {
  const texts = new Map(Object.entries(fields).map(([key, value]) => [key, String(value)]));
  const fault = faultOf(texts, sha256(utf8(check.botToken)), check);
  if (fault) return { ok: false, fault };
  const parsed = widgetSchema.safeParse(Object.fromEntries(texts));
  return parsed.success ? userOf(parsed.data) : { ok: false, fault: "malformed" };
}

/** `Telegram.WebApp.initData`, the query string as it came. */
export function checkTelegramInitData(initData: string, check: TelegramCheck): TelegramVerdict {
  if (initData.length > MAX_INIT_DATA_CHARACTERS) return { ok: false, fault: "malformed" };
  const pairs = [...new URLSearchParams(initData)];
  const texts = new Map(pairs);
  if (texts.size !== pairs.length) return { ok: false, fault: "malformed" };
  const fault = faultOf(texts, hmac(sha256, utf8("WebAppData"), utf8(check.botToken)), check);
  if (fault) return { ok: false, fault };
  const parsed = webAppUserSchema.safeParse(parseJson(texts.get("user")));
  return parsed.success ? userOf(parsed.data) : { ok: false, fault: "malformed" };
}

/** What is wrong with the fields as such, or undefined. */
function faultOf(
  fields: ReadonlyMap<string, string>,
  secret: Uint8Array,
  { nowMs, maxAgeMs = DEFAULT_MAX_AGE_MS }: TelegramCheck,
): TelegramFault | undefined {
  const hash = fields.get("hash") ?? "";
  if (fields.size > MAX_FIELDS || !/^[0-9a-f]{64}$/.test(hash)) return "malformed";
  for (const [key, value] of fields) if (!/^[a-z_]{1,64}$/.test(key) || /\p{Cc}/u.test(value)) return "malformed";
  const expected = hmac(sha256, secret, utf8(signedText(fields)));
  if (!equalInConstantTime(Uint8Array.fromHex(hash), expected)) return "forged";
  const date = fields.get("auth_date") ?? "";
  if (!/^\d{1,12}$/.test(date)) return "malformed";
  const ageMs = nowMs - Number(date) * 1000;
  return ageMs > maxAgeMs || ageMs < -SLACK_MS ? "stale" : undefined;
}

function signedText(fields: ReadonlyMap<string, string>): string {
  const keys = [...fields.keys()].filter((key) => key !== "hash").sort();
  return keys.map((key) => `${key}=${fields.get(key)}`).join("\n");
}

function userOf(
  { id, first_name: first, last_name: last, username }: z.infer<typeof widgetSchema> | z.infer<typeof webAppUserSchema>,
): TelegramVerdict {
  const full = [first, last].filter(Boolean).join(" ").trim() || username || `Telegram ${id}`;
  const name = [...full.replace(/\p{Cc}/gu, "")].slice(0, MAX_NAME_CHARACTERS).join("");
  return { ok: true, user: { telegramId: String(id), name } };
}

function parseJson(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
