/**
 * Field schemas that more than one role needs: text as a person types it in, the value a program works with out. Each
 * takes its default as that same text; without one the setting is required, or `.optional()`.
 */

import { z } from "zod";
import { decodeBase64 } from "../protocol/encoding.ts";
import { parseHost } from "../protocol/host.ts";
import { type Cidr, parseCidr } from "../protocol/ip.ts";
import { type Bytes, KEY_BYTES } from "../protocol/primitives.ts";
import { parseTarget, type Target } from "../protocol/stream.ts";
import type { FieldMeta } from "./config/schema.ts";

/** Where to listen: `host:port`, `[v6]:port`, or `:port` for every IPv4 address of the machine. */
export function listenAddress(fallback?: string): z.ZodType<Target> {
  return parsed((text) => parseTarget(text.startsWith(":") ? "0.0.0.0" + text : text), fallback, {
    placeholder: "host:port",
    rule: "host:port",
  });
}

/** A host and port to connect to. `defaultPort` stands in for one that is not given. */
export function targetAddress(fallback?: string, options: { readonly defaultPort?: number } = {}): z.ZodType<Target> {
  const rule = options.defaultPort === undefined ? "host:port" : "host or host:port";
  return parsed((text) => parseTarget(text, options.defaultPort), fallback, { placeholder: "host:port", rule });
}

/** An address without a port, or the name of one. An IPv6 address may have brackets, and loses them. */
export function hostName(fallback?: string): z.ZodType<string> {
  return parsed(
    (text) => parseHost(text) === undefined ? undefined : text.replace(/^\[(.*)\]$/, "$1"),
    fallback,
    { placeholder: "host", rule: "an address or a host's name" },
  );
}

/** A network, or one address: `10.0.0.0/8`, `2001:db8::1`. */
export function cidr(fallback?: string): z.ZodType<Cidr> {
  return parsed(parseCidr, fallback, { placeholder: "cidr", rule: "a network such as 10.0.0.0/8" });
}

/** Ports, both ends included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** A range of ports that are not the system's, such as `40000-49999`, or one port. */
export function portRange(fallback?: string): z.ZodType<PortRange> {
  return parsed(
    (text) => {
      const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
      const first = Number(match?.[1]);
      const last = Number(match?.[2] ?? first);
      return match && first >= 1024 && first <= last && last <= 65_535 ? { first, last } : undefined;
    },
    fallback,
    { placeholder: "ports", rule: "a range of ports from 1024 on such as 40000-49999" },
  );
}

/** The longest wait a JavaScript timer can carry; a longer one would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const MS_PER_UNIT: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export interface DurationOptions {
  /** Default 0. */
  readonly minMs?: number;
  /** Default 24.8 days, the longest a timer can wait; give more for what is only a date. */
  readonly maxMs?: number;
}

/** A duration such as `500ms`, `30s`, `1h30m` or `7d`, in milliseconds. */
export function durationMs(fallback?: string, options: DurationOptions = {}): z.ZodType<number> {
  const { minMs = 0, maxMs = MAX_TIMER_MS } = options;
  const bounds = (minMs > 0 ? ` of at least ${minMs} ms` : "") + (options.maxMs ? ` of at most ${maxMs} ms` : "");
  return parsed(
    (text) => {
      const value = parseDurationMs(text);
      return value === undefined || value < minMs || value > maxMs ? undefined : value;
    },
    fallback,
    { placeholder: "duration", rule: `a duration${bounds} such as 500ms, 30s, 5m or 1h30m` },
  );
}

function parseDurationMs(text: string): number | undefined {
  if (text === "0") return 0;
  if (text.length > 40 || !/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return undefined;
  let totalMs = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)) {
    totalMs += Number(amount) * MS_PER_UNIT[unit!]!;
  }
  return Math.round(totalMs);
}

const BYTES_PER_UNIT: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};

export interface ByteSizeOptions {
  readonly minBytes?: number;
  readonly maxBytes?: number;
}

/** A size such as `2MiB`, `64KiB`, `10MB` or `1500`, in bytes. */
export function byteSize(fallback?: string, options: ByteSizeOptions = {}): z.ZodType<number> {
  const { minBytes = 0, maxBytes = Number.MAX_SAFE_INTEGER } = options;
  const bounds = (minBytes > 0 ? ` of at least ${minBytes}` : "") + (options.maxBytes ? ` of at most ${maxBytes}` : "");
  return parsed(
    (text) => {
      const match = /^(\d{1,16}(?:\.\d{1,6})?) ?([KMGT]?i?B?)$/i.exec(text);
      const unit = match && BYTES_PER_UNIT[match[2]!.toUpperCase()];
      if (!unit) return undefined;
      const bytes = Math.round(Number(match[1]) * unit);
      return bytes < minBytes || bytes > maxBytes ? undefined : bytes;
    },
    fallback,
    { placeholder: "size", rule: `a size in bytes${bounds} such as 1500, 64KiB or 2MiB` },
  );
}

/** A file's path; relative ones start where the program was started. */
export function filePath(fallback?: string): z.ZodType<string> {
  return parsed(pathText, fallback, { placeholder: "file", rule: "the path of a file", completes: "file" });
}

export function directoryPath(fallback?: string): z.ZodType<string> {
  return parsed(pathText, fallback, { placeholder: "dir", rule: "the path of a directory", completes: "directory" });
}

function pathText(text: string): string | undefined {
  return text === "" || text.includes("\0") ? undefined : text;
}

/** Something nobody else may see: no message, help or log repeats it. Best given by a variable or a file. */
export function secret({ minLength = 1 } = {}): z.ZodType<string> {
  return parsed((text) => text.length >= minLength ? text : undefined, undefined, {
    placeholder: "secret",
    rule: minLength === 1 ? "must not be empty" : `at least ${minLength} characters`,
    secret: true,
  });
}

/** A public key, as `wg` and `culvert enroll` write keys. */
export function publicKey(): z.ZodType<Bytes> {
  return parsed(
    (text) => {
      const key = decodeBase64(text);
      return key?.length === KEY_BYTES ? key : undefined;
    },
    undefined,
    { placeholder: "key", rule: "a public key: 32 bytes in base64, as culvert enroll shows it" },
  );
}

/** The URL that names a Path: `tunnel+wss://host/`, `direct:`. `schemes` are those allowed, without the colon. */
export function pathUrl(fallback?: string, options: { readonly schemes?: readonly string[] } = {}): z.ZodType<URL> {
  const { schemes } = options;
  const rule = schemes ? `a URL that starts with ${schemes.map((scheme) => scheme + ":").join(" or ")}` : "a URL";
  return parsed(
    (text) => {
      const url = URL.parse(text);
      return url && (schemes?.includes(url.protocol.slice(0, -1)) ?? true) ? url : undefined;
    },
    fallback,
    { placeholder: "url", rule },
  );
}

/** A schema from a parser that gives undefined for what it refuses. */
function parsed<T>(
  parse: (text: string) => T | undefined,
  fallback: string | undefined,
  meta: FieldMeta & { readonly rule: string },
): z.ZodType<T> {
  const schema = z.string().meta({ ...meta }).transform((text, context): T => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.issues.push({ code: "custom", message: meta.rule, input: text });
    return z.NEVER;
  });
  return fallback === undefined ? schema : schema.prefault(fallback);
}
