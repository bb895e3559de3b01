/**
 * What an HTTP/1.1 proxy does to a message it passes on: RFC 9110 §7.6.1 (fields that end here), RFC 9112 §3.2.2
 * (absolute-form and Host) and RFC 7617 (Basic credentials).
 *
 * Neither `Via` nor `X-Forwarded-For` is added: who asked is nobody's business. The fields that delimit the body are
 * always written anew from the framing that was understood, never copied.
 */

import type { Framing } from "./http_body.ts";
import { type Field, isNamed, type RequestHead, type ResponseHead, tokensOf, valuesOf } from "./http_head.ts";
import { parseTarget, type Target } from "./stream.ts";

/** Fields that concern one connection only, even when `Connection` fails to name them. */
const hopByHop: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "te",
  "transfer-encoding",
  "upgrade",
  "content-length",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authentication-info",
  "proxy-authorization",
]);

/** What may not be set from a trailer: it would change how the message was already read. */
const forbiddenTrailers: ReadonlySet<string> = new Set(["host", "trailer", "authorization", "set-cookie", "expect"]);

/** An absolute-form request target, taken apart. */
export interface AbsoluteForm {
  /** Whom to dial. */
  readonly target: Target;
  /** The authority as the Host field has it. */
  readonly authority: string;
  /** The origin form (or `*`) to send on. */
  readonly path: string;
}

/** Takes `http://host:port/path` apart; undefined for other schemes, for user info, and for what is malformed. */
export function parseAbsoluteForm(head: Pick<RequestHead, "method" | "target">): AbsoluteForm | undefined {
  const match = /^http:\/\/([^\/?#]+)(\/[^?#]*)?(\?[^#]*)?$/i.exec(head.target);
  if (!match) return undefined;
  const target = parseTarget(match[1]!, 80);
  if (!target || target.port === 0) return undefined;
  const bare = match[2] === undefined && match[3] === undefined;
  const path = bare && head.method === "OPTIONS" ? "*" : (match[2] ?? "/") + (match[3] ?? "");
  return { target, authority: match[1]!, path };
}

/** Whether the sender means to keep the connection for another message. HTTP/1.0's keep-alive is not offered. */
export function persists(head: RequestHead | ResponseHead): boolean {
  return head.minor === 1 && !tokensOf(head.fields, "connection").includes("close");
}

/** The protocol the message wants to change to, or undefined: `Connection` must announce it (RFC 9110 §7.8). */
export function upgradeOf(head: RequestHead | ResponseHead): string | undefined {
  const wanted = valuesOf(head.fields, "upgrade").join(", ");
  return wanted !== "" && tokensOf(head.fields, "connection").includes("upgrade") ? wanted : undefined;
}

/** How a message goes on, beside its fields. */
export interface Forwarding {
  /** What delimits its body. */
  readonly framing: Framing;
  /** The protocol to ask for, or that was agreed. */
  readonly upgrade?: string | undefined;
  /** Tells the receiver that no other message follows. */
  readonly close?: boolean;
}

/** The fields of a request on its way to the origin. */
export function forwardRequestFields(head: RequestHead, authority: string, forwarding: Forwarding): Field[] {
  const kept = endToEnd(head.fields).filter((field) => !isNamed(field, "host") && !/^proxy-/i.test(field.name));
  return [{ name: "Host", value: authority }, ...kept, ...connectionFields(forwarding)];
}

/** The fields of a response on its way to the client. */
export function forwardResponseFields(head: ResponseHead, forwarding: Forwarding): Field[] {
  // The answer to HEAD and a 304 tell a length without a body that has it.
  const told = forwarding.framing.kind === "none" && head.status >= 200 && head.status !== 204
    ? valuesOf(head.fields, "content-length").slice(0, 1).map((value) => ({ name: "Content-Length", value }))
    : [];
  return [...endToEnd(head.fields), ...told, ...connectionFields(forwarding)];
}

/** The trailers that may be passed on. */
export function forwardTrailers(trailers: readonly Field[]): Field[] {
  return endToEnd(trailers).filter((field) => !forbiddenTrailers.has(field.name.toLowerCase()));
}

/** Those that do not end at the next place. */
export function endToEnd(fields: readonly Field[]): Field[] {
  const named = new Set(tokensOf(fields, "connection"));
  return fields.filter(({ name }) => {
    const lowerCaseName = name.toLowerCase();
    return !hopByHop.has(lowerCaseName) && !named.has(lowerCaseName);
  });
}

function connectionFields({ framing, upgrade, close }: Forwarding): Field[] {
  const fields: Field[] = [];
  if (framing.kind === "length") fields.push({ name: "Content-Length", value: String(framing.bytes) });
  if (framing.kind === "chunked") fields.push({ name: "Transfer-Encoding", value: "chunked" });
  if (upgrade !== undefined) fields.push({ name: "Upgrade", value: upgrade }, { name: "Connection", value: "Upgrade" });
  else if (close) fields.push({ name: "Connection", value: "close" });
  return fields;
}

/** Of Basic authentication. */
export interface BasicCredentials {
  /** Without a colon. */
  readonly user: string;
  /** Any text. */
  readonly password: string;
}

/** The credentials in `Proxy-Authorization: Basic …`; undefined when there is none, several, or it is malformed. */
export function parseProxyAuthorization(head: RequestHead): BasicCredentials | undefined {
  const values = valuesOf(head.fields, "proxy-authorization");
  const match = values.length === 1 ? /^basic +([A-Za-z0-9+\/]+=*)$/i.exec(values[0]!) : null;
  if (!match) return undefined;
  let text: string;
  try {
    const bytes = Uint8Array.from(atob(match[1]!), (character) => character.charCodeAt(0));
    text = new TextDecoder().decode(bytes);
  } catch {
    return undefined;
  }
  const colon = text.indexOf(":");
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}
