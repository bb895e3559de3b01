/**
 * The user name of a proxy login, which says besides who asks also what way is wanted:
 *
 *   userId [-country-xx] [-region-name] [-city-name] [-node-id] [-session-id] [-ttl-10m] [-strict]
 *
 *   country   two letters                     session   1 to 32 of A-Z a-z 0-9 _: the same node again for the same id
 *   region    as nodes are grouped            ttl       how long a session lasts unused, 1m to 1440m; default 10m
 *   city      as nodes are grouped            strict    when a session's node has gone: fail rather than rotate
 *   node      one node and no other
 *
 * At most 255 bytes, which is what SOCKS5 carries. Keys and names may be in either case, the id of a session is taken as it
 * is; since `-` separates, `_` stands for it in names (`eu_west`). Each key comes once and in any order. What is unknown,
 * repeated or malformed is refused with a reason: a client that misspells a country is not to be sent through another.
 */

import type { NodeChoice } from "./choice.ts";

export interface ProxyLogin {
  readonly userId: string;
  readonly choice: NodeChoice;
  readonly session?: StickyRequest | undefined;
}

/** A session that the client has named. */
export interface StickyRequest {
  readonly id: string;
  readonly ttlMs: number;
  /** Fails while its node is away, rather than go on with another. */
  readonly isStrict: boolean;
}

export const MAX_LOGIN_BYTES = 255;
const DEFAULT_TTL_MINUTES = 10;
const MAX_TTL_MINUTES = 1440;
const MINUTE_MS = 60_000;

const USER_ID = /^[a-z2-7]{12}$/i;
const NAME = /^[a-z0-9][a-z0-9_]{0,31}$/i;
const NODE_ID = /^[a-z2-7]{25}[aeimquy4]$/i;
const SESSION_ID = /^[A-Za-z0-9_]{1,32}$/;
const TTL = /^(\d{1,4})m$/i;

/** What each key takes, in the order in which `formatProxyLogin` writes them. `strict` takes nothing. */
const RULES = {
  country: { pattern: /^[a-z]{2}$/i, rule: "two letters" },
  region: { pattern: NAME, rule: "a name of letters, digits and _, 32 at most" },
  city: { pattern: NAME, rule: "a name of letters, digits and _, 32 at most" },
  node: { pattern: NODE_ID, rule: "the id of a node" },
  session: { pattern: SESSION_ID, rule: "1 to 32 letters, digits and _" },
  ttl: { pattern: TTL, rule: `minutes such as 10m, from 1m to ${MAX_TTL_MINUTES}m` },
} as const;
type Key = keyof typeof RULES;

/** Reads a user name; a text says what is wrong with it, for whoever sent it. */
export function parseProxyLogin(text: string): ProxyLogin | string {
  if (text.length > MAX_LOGIN_BYTES) return `The user name must be at most ${MAX_LOGIN_BYTES} bytes long`;
  const [userId = "", ...words] = text.split("-");
  if (!USER_ID.test(userId)) return "The user name must begin with an account: 12 letters a-z and digits 2-7";
  const values = new Map<Key | "strict", string>();
  for (let at = 0; at < words.length; at++) {
    const key = words[at]!.toLowerCase();
    if (!isKey(key)) return `The user name has an unknown key${shown(key)}`;
    if (values.has(key)) return `The user name has the key ${key} twice`;
    if (key === "strict") {
      values.set(key, "");
      continue;
    }
    const value = words[++at] ?? "";
    if (!RULES[key].pattern.test(value)) return `The user name's ${key} must be ${RULES[key].rule}`;
    values.set(key, value);
  }
  return loginOf(userId.toLowerCase(), values);
}

/** The user name that says this. */
export function formatProxyLogin({ userId, choice, session }: ProxyLogin): string {
  const words = [userId];
  const add = (key: Key, value: string | undefined) => value !== undefined && words.push(key, value);
  add("country", choice.country);
  add("region", choice.region && underscored(choice.region));
  add("city", choice.city && underscored(choice.city));
  add("node", choice.nodeId);
  add("session", session?.id);
  if (session && session.ttlMs !== DEFAULT_TTL_MINUTES * MINUTE_MS) add("ttl", `${session.ttlMs / MINUTE_MS}m`);
  if (session?.isStrict) words.push("strict");
  return words.join("-");
}

function loginOf(userId: string, values: ReadonlyMap<Key | "strict", string>): ProxyLogin | string {
  const id = values.get("session");
  for (const key of ["ttl", "strict"] as const) {
    if (id === undefined && values.has(key)) return `The user name has a ${key}, which needs a session`;
  }
  const minutes = Number(TTL.exec(values.get("ttl") ?? "")?.[1] ?? DEFAULT_TTL_MINUTES);
  if (minutes < 1 || minutes > MAX_TTL_MINUTES) return `The user name's ttl must be ${RULES.ttl.rule}`;
  return {
    userId,
    choice: {
      country: values.get("country")?.toLowerCase(),
      region: nameOf(values.get("region")),
      city: nameOf(values.get("city")),
      nodeId: values.get("node")?.toLowerCase(),
    },
    session: id === undefined ? undefined : { id, ttlMs: minutes * MINUTE_MS, isStrict: values.has("strict") },
  };
}

function isKey(text: string): text is Key | "strict" {
  return text === "strict" || Object.hasOwn(RULES, text);
}

/** Only what cannot do harm where the reason is shown. */
function shown(key: string): string {
  return /^[a-z0-9_]{1,32}$/.test(key) ? `: ${key}` : "";
}

function nameOf(value: string | undefined): string | undefined {
  return value?.toLowerCase().replaceAll("_", "-");
}

function underscored(name: string): string {
  return name.replaceAll("-", "_");
}
