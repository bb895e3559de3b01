/**
 * HTTP CONNECT over a Stream that is there, as the client that asks for a target (RFC 9110 §9.3.6).
 *
 *   CONNECT host:port HTTP/1.1 ──▶      ◀── 200: the stream leads there; any other: why not
 *
 * A proxy of ours says exactly what failed, in `Proxy-Status` (RFC 9209); of others the status has to do.
 */

import { dialFailureOfReply } from "../protocol/dial_reply.ts";
import { encodeBase64 } from "../protocol/encoding.ts";
import { DialError, type DialFailure } from "../protocol/errors.ts";
import {
  encodeRequestHead,
  type Field,
  parseResponseHead,
  type ResponseHead,
  valuesOf,
} from "../protocol/http_head.ts";
import type { SocksCredentials } from "../protocol/socks.ts";
import { formatTarget, type Stream, type Target, writeAll } from "../protocol/stream.ts";
import { readMessage } from "./read_message.ts";

const ANSWER = { language: "HTTP", maxBytes: 16 * 1024 } as const;

export interface HttpProxy {
  /** What it is called in errors. */
  readonly name: string;
  readonly credentials?: SocksCredentials | undefined;
}

/** Has the far end connect to the target; then the stream leads there. Rejects with a DialError that says why not. */
export async function connectHttp(stream: Stream, target: Target, { name, credentials }: HttpProxy): Promise<void> {
  if (!/^[\x21-\x7e]{1,255}$/.test(target.host)) {
    throw new DialError("unresolved", "Cannot dial: the host name must be 1 to 255 bytes of ASCII");
  }
  const authority = formatTarget(target);
  const fields: Field[] = [{ name: "Host", value: authority }];
  if (credentials) fields.push({ name: "Proxy-Authorization", value: `Basic ${basicOf(credentials)}` });
  await writeAll(stream, encodeRequestHead({ method: "CONNECT", target: authority, fields }));
  const head = await readMessage(stream, parseResponseHead, ANSWER);
  if (head.status >= 200 && head.status < 300) return;
  throw new DialError(failureOf(head), `${name} could not connect: status ${head.status}`);
}

function basicOf({ user, password }: SocksCredentials): string {
  return encodeBase64(new TextEncoder().encode(`${user}:${password}`));
}

const failures: Readonly<Record<number, DialFailure>> = {
  402: "unpaid",
  403: "denied",
  407: "unauthorized",
  429: "busy",
  501: "unsupported",
  503: "busy",
  504: "timeout",
};

function failureOf({ status, fields }: ResponseHead): DialFailure {
  const [, told = ""] = /;\s*error=([a-z_]+)/.exec(valuesOf(fields, "proxy-status").join(", ")) ?? [];
  return dialFailureOfReply(status, told) ?? failures[status] ?? "failed";
}
