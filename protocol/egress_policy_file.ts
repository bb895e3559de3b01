/**
 * What a policy file may say: its keys, their rules and defaults. `docs/egress-policy.md` explains them to people.
 * An unknown key is an error: a misspelt `deny_adresses` that is silently ignored is a hole.
 */

import { z } from "zod";
import { parseHost } from "./host.ts";
import { type Cidr, equalIp, formatIp, parseCidr, parseIp } from "./ip.ts";
import { CLASSES, type IpClass } from "./ip_class.ts";

/** First and last, both included. */
export type PortRange = readonly [first: number, last: number];

export interface HostRule {
  readonly action: "allow" | "deny";
  readonly pattern: string;
}

/** Each is at most two UDP sockets and 128 KiB of buffers. */
const DEFAULT_MAX_DATAGRAM_SOCKETS = 1024;
const MAX_NUMBER = Number.MAX_SAFE_INTEGER;

const addressRule = leaf(
  'a class such as "private" or a network such as "192.168.1.0/24"',
  (value) => networkFrom(value) ?? className(value),
);
const network = leaf('a network such as "192.168.1.0/24" with no bits set after its prefix', networkFrom);
const portRange = leaf('a port from 1 to 65535 or a range such as "8000-8999"', portRangeFrom);
const hostRule = leaf('"allow" or "deny" and a host, such as "deny *.example.com"', hostRuleFrom);
const limit = leaf("a whole number of at least 1", limitFrom);
const flag = leaf("true or false", (value) => typeof value === "boolean" ? value : undefined);

export const policySchema = z.strictObject({
  allow_addresses: list(addressRule).default([]),
  deny_addresses: list(network).default([]),
  ports: z.strictObject({
    allow: list(portRange).optional(),
    deny: list(portRange).optional(),
  }, { error: tableError }).prefault({}),
  hosts: list(hostRule).default([]),
  limits: z.strictObject({
    max_connections: limit.optional(),
    max_connections_per_second: limit.optional(),
    max_upload_bytes_per_second: limit.optional(),
    max_download_bytes_per_second: limit.optional(),
    max_datagram_sockets: limit.default(DEFAULT_MAX_DATAGRAM_SOCKETS),
  }, { error: tableError }).prefault({}),
  close_on_reload: flag.default(false),
}, { error: tableError });

/** What a file has been read as. */
export type PolicySettings = z.output<typeof policySchema>;

/** What code may write instead of a file; the names and rules are the file's (docs/egress-policy.md). */
export interface PolicyFile {
  /** Classes and networks that are open beside the internet. */
  readonly allow_addresses?: readonly string[];
  /** Networks that are closed. */
  readonly deny_addresses?: readonly string[];
  /** Ports that are open, and ports that are closed. */
  readonly ports?: { readonly allow?: readonly (number | string)[]; readonly deny?: readonly (number | string)[] };
  /** Hosts that are open or closed, by name. */
  readonly hosts?: readonly string[];
  /** How much at once, and how fast. */
  readonly limits?: {
    readonly max_connections?: number;
    readonly max_connections_per_second?: number;
    readonly max_upload_bytes_per_second?: number;
    readonly max_download_bytes_per_second?: number;
    readonly max_datagram_sockets?: number;
  };
  /** Whether connections that a new policy forbids are closed. */
  readonly close_on_reload?: boolean;
}

/** One value, read by a function; what it refuses is told as the rule. */
function leaf<T>(rule: string, read: (value: unknown) => T | undefined) {
  return z.unknown().transform((value, context): T => {
    const result = read(value);
    if (result !== undefined) return result;
    context.addIssue({ code: "custom", message: `must be ${rule}, got ${JSON.stringify(value)}` });
    return z.NEVER;
  });
}

function list<T extends z.ZodType>(element: T) {
  return z.array(element, { error: (issue) => `must be a list, got ${JSON.stringify(issue.input)}` });
}

function tableError(issue: { readonly input?: unknown }): string {
  return `must be a table, got ${JSON.stringify(issue.input)}`;
}

/** Refuses `10.0.0.1/8`: whoever writes it means either 10.0.0.1 or 10.0.0.0/8, and only one of them is safe. */
function networkFrom(value: unknown): Cidr | undefined {
  const cidr = typeof value === "string" ? parseCidr(value) : undefined;
  return cidr && equalIp(cidr.address, parseIp((value as string).split("/")[0]!)!) ? cidr : undefined;
}

function className(value: unknown): IpClass | "own" | undefined {
  return value === "own" ? value : CLASSES.find((name) => name === value && name !== "public");
}

function portRangeFrom(value: unknown): PortRange | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(String(value));
  if (!match || (typeof value !== "number" && typeof value !== "string")) return undefined;
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  return first >= 1 && first <= last && last <= 65535 ? [first, last] : undefined;
}

function hostRuleFrom(value: unknown): HostRule | undefined {
  const match = typeof value === "string" ? /^(allow|deny)\s+(\*\.)?(\S+)$/.exec(value.trim()) : undefined;
  if (!match) return undefined;
  const action = match[1] as HostRule["action"];
  if (match[3] === "*" && !match[2]) return { action, pattern: "*" };
  const host = parseHost(match[3]!);
  if (host === undefined || (match[2] && typeof host !== "string")) return undefined;
  return { action, pattern: `${match[2] ?? ""}${typeof host === "string" ? host : formatIp(host)}` };
}

function limitFrom(value: unknown): number | undefined {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= MAX_NUMBER
    ? value as number
    : undefined;
}
