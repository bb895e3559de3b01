/**
 * HTTP on the proxy port: reads one request head after another and sends each where it belongs.
 *
 *   CONNECT host:port      → dial, 200, splice
 *   GET http://host/path   → `http_forward.ts`, and then the next request
 *   GET /path              → a short page: this is a proxy, not a site
 *
 * Whatever cannot be understood in exactly one way is answered with 400 and ends the connection. Every answer of our
 * own closes the connection, and those about a failed dial say why in `Proxy-Status` (RFC 9209).
 */

import { dialReplyOf, proxyStatus } from "../../protocol/dial_reply.ts";
import { DialError, dialFailureOf } from "../../protocol/errors.ts";
import { requestFraming } from "../../protocol/http_body.ts";
import { encodeResponseHead, type Field, parseRequestHead, type RequestHead } from "../../protocol/http_head.ts";
import { parseAbsoluteForm, parseProxyAuthorization } from "../../protocol/http_proxy.ts";
import { parseTarget, type Stream, writeAll } from "../../protocol/stream.ts";
import type { Client } from "./client.ts";
import type { ProxyRefusal } from "./credentials.ts";
import { HttpForwarder } from "./http_forward.ts";
import type { Ingress } from "./ingress.ts";
import { farewell } from "./reply.ts";

const ESTABLISHED = new TextEncoder().encode("HTTP/1.1 200 Connection established\r\n\r\n");

/** An answer of our own. */
interface Page {
  readonly status: number;
  readonly reason: string;
  readonly text: string;
  readonly fields?: readonly Field[];
}

/** Gives the Stream to join the client with, after CONNECT; undefined when all is done. */
export async function serveHttp(client: Client, ingress: Ingress): Promise<Stream | undefined> {
  using forwarder = new HttpForwarder(client, ingress);
  for (;;) {
    const head = await nextRequest(client, ingress);
    if (head === undefined) return undefined;
    if ("text" in head) return await say(client, ingress, head);
    const refusal = ingress.check && await refusalOf(client, ingress, head);
    if (refusal) return await say(client, ingress, refusalPage(refusal));
    ingress.handshakes.delete(client);
    if (head.method === "CONNECT") return await connect(client, ingress, head);
    const page = await forward(forwarder, head);
    if (page === "end") return undefined;
    if (page === "linger") return void await farewell(client, ingress, new Uint8Array());
    if (page !== "next") return await say(client, ingress, page);
    await betweenRequests(client, ingress);
  }
}

/** The next head, the page that refuses it, or undefined when the client is done. */
async function nextRequest(client: Client, ingress: Ingress): Promise<RequestHead | Page | undefined> {
  const { inbox } = client;
  for (let scannedBytes = 0;;) {
    const parsed = parseRequestHead(inbox.head, scannedBytes);
    if (parsed.status === "done") {
      inbox.consume(parsed.length);
      return parsed.value;
    }
    if (parsed.status === "bad") return badRequest(parsed.reason);
    if (inbox.full) {
      const text = `The header fields are longer than ${ingress.limits.maxHeadBytes} bytes.`;
      return { status: 431, reason: "Request Header Fields Too Large", text };
    }
    scannedBytes = inbox.length;
    if (!await inbox.fill()) return undefined;
  }
}

/** Waits for another request, long for its first byte and then only as long as for the first one. */
async function betweenRequests(client: Client, ingress: Ingress): Promise<void> {
  if (client.inbox.length === 0) {
    ingress.keepAlives.add(client);
    if (ingress.draining) client.close();
    try {
      await client.inbox.fill();
    } finally {
      ingress.keepAlives.delete(client);
    }
  }
  ingress.handshakes.add(client);
}

async function refusalOf(client: Client, ingress: Ingress, head: RequestHead): Promise<ProxyRefusal | undefined> {
  const credentials = parseProxyAuthorization(head);
  if (!credentials) return ingress.unnamed();
  return await ingress.admit(client, credentials.user, credentials.password);
}

async function connect(client: Client, ingress: Ingress, head: RequestHead): Promise<Stream | undefined> {
  const target = parseTarget(head.target);
  if (!target || target.port === 0) return await say(client, ingress, badRequest("CONNECT needs host:port"));
  const framing = requestFraming(head);
  const bodiless = framing.kind === "none" || (framing.kind === "length" && framing.bytes === 0);
  if (!bodiless) return await say(client, ingress, badRequest("CONNECT with a body"));
  let stream: Stream;
  try {
    stream = await ingress.dial(client, target);
  } catch (error) {
    return await say(client, ingress, dialFailurePage(error));
  }
  await writeAll(client.conn, ESTABLISHED);
  return stream;
}

/** Passes one request on, if it can be; or gives the page that says why not. See `ForwardOutcome`. */
async function forward(forwarder: HttpForwarder, head: RequestHead): Promise<"next" | "end" | "linger" | Page> {
  if (head.target.startsWith("/") || head.target === "*") return NOT_A_SITE;
  const form = parseAbsoluteForm(head);
  if (!form) return badRequest("a proxy request names http://host/path; for other schemes use CONNECT");
  const hosts = head.fields.filter((field) => field.name.toLowerCase() === "host").length;
  if (hosts > 1 || (hosts === 0 && head.minor === 1)) return badRequest("one Host field is needed");
  const framing = requestFraming(head);
  if (framing.kind === "bad") return badRequest(framing.reason);
  const outcome = await forwarder.forward({ head, form, framing });
  if (typeof outcome === "string") return outcome;
  if ("error" in outcome) return dialFailurePage(outcome.error);
  return "badBody" in outcome ? badRequest(outcome.badBody) : badGateway(outcome.proxyError);
}

async function say(client: Client, ingress: Ingress, page: Page): Promise<undefined> {
  const body = new TextEncoder().encode(`${page.text}\n`);
  const head = encodeResponseHead({
    status: page.status,
    reason: page.reason,
    fields: [
      ...page.fields ?? [],
      { name: "Content-Type", value: "text/plain; charset=utf-8" },
      { name: "Content-Length", value: String(body.length) },
      { name: "Connection", value: "close" },
    ],
  });
  const reply = new Uint8Array(head.length + body.length);
  reply.set(head);
  reply.set(body, head.length);
  await farewell(client, ingress, reply);
}

function badRequest(reason: string): Page {
  return { status: 400, reason: "Bad Request", text: `Cannot serve this request: ${reason}.` };
}

function badGateway(proxyError: string): Page {
  return {
    status: 502,
    reason: "Bad Gateway",
    text: `Cannot pass on the answer: ${proxyError.replaceAll("_", " ")}.`,
    fields: [{ name: "Proxy-Status", value: proxyStatus(proxyError) }],
  };
}

function dialFailurePage(error: unknown): Page {
  const failure = dialFailureOf(error);
  const { status, reason, proxyError } = dialReplyOf(failure);
  const details = error instanceof DialError && error.isForAll ? error.message : undefined;
  return {
    status,
    reason,
    text: `Cannot reach the host: ${details ?? failure.replaceAll("_", " ")}.`,
    fields: [{ name: "Proxy-Status", value: proxyStatus(proxyError, details) }],
  };
}

function refusalPage({ status, reason, proxyError = "http_request_denied" }: ProxyRefusal): Page {
  const told = { name: "Proxy-Status", value: proxyStatus(proxyError, reason) };
  const fields = status === 407 ? [AUTHENTICATE, told] : [told];
  return { status, reason: REASON_PHRASES[status], text: `${reason}.`, fields };
}

const NOT_A_SITE: Page = {
  status: 400,
  reason: "Bad Request",
  text: "This is a proxy port, not a web site. Set it as your program's HTTP or SOCKS proxy.",
};

const AUTHENTICATE: Field = { name: "Proxy-Authenticate", value: 'Basic realm="culvert", charset="UTF-8"' };

const REASON_PHRASES: Readonly<Record<ProxyRefusal["status"], string>> = {
  402: "Payment Required",
  403: "Forbidden",
  407: "Proxy Authentication Required",
  503: "Service Unavailable",
};
