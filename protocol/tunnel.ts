/**
 * What the two ends of a tunnel say on each mux stream before the bytes that are carried, and around each datagram.
 *
 *   request   version u8 = 1 | kind u8 (1 stream, 2 datagrams, 3 request) | length u16 BE | body[length]
 *     body    host length u8 | host | port u16 BE | options…        (datagrams, request: an empty host and port 0)
 *     options the trail, as in `trail.ts`
 *   reply     version u8 = 1 | status u8 | length u16 BE | message[length]     status 0: it is open
 *
 * After a reply of 0 a stream carries bytes both ways. For datagrams each message, both ways, is
 *   length u16 BE | host length u8 | host | port u16 BE | payload               length counts what follows it
 * For a request it is an HTTP request that the far end makes, as in `request_mode.ts`.
 *
 * Texts are UTF-8. Nothing is sent after a request until its reply, so a refused dial has cost nothing.
 */

import type { DialFailure } from "./errors.ts";
import { bad, done, MORE, type Parsed } from "./parse.ts";
import type { Hop, Target } from "./stream.ts";
import { encodeTrail, parseTrail } from "./trail.ts";
import { concat, encodeAtMost, encodeFrame, parseFrame, parseText } from "./tunnel_frame.ts";

const MAX_MESSAGE_BYTES = 512;
/** Above the longest host and the longest hops, with some room for options to come. */
export const MAX_TUNNEL_BODY_BYTES = 11_008;
/** The largest datagram a tunnel carries: the most that UDP over IPv4 can. */
export const MAX_DATAGRAM_BYTES = 65507;
const MAX_HOST_BYTES = 255;
/** It keeps nothing from one text to the next. */
const encoder = new TextEncoder();

/** The order is the wire's: append, never move. */
export const DIAL_FAILURES = [
  "failed",
  "denied",
  "unresolved",
  "network_unreachable",
  "host_unreachable",
  "refused",
  "timeout",
  "unsupported",
  "busy",
  "unauthorized",
  "path_down",
  "unpaid",
] as const satisfies readonly DialFailure[];

export type TunnelRequest =
  | { readonly kind: "stream"; readonly target: Target; readonly trail: readonly Hop[] }
  | { readonly kind: "datagrams"; readonly trail: readonly Hop[] }
  | { readonly kind: "request"; readonly trail: readonly Hop[] };

const KINDS = { stream: 1, datagrams: 2, request: 3 } as const;

export interface TunnelReply {
  /** Undefined: it is open. */
  readonly failure?: DialFailure;
  readonly message: string;
}

/** Undefined when the host is empty or longer than the wire can say. */
export function encodeTunnelRequest(request: TunnelRequest): Uint8Array | undefined {
  const target = request.kind === "stream" ? request.target : { host: "", port: 0 };
  if (request.kind === "stream" && target.host === "") return undefined;
  const address = encodeAddress(target);
  if (!address) return undefined;
  const body = request.trail.length === 0 ? address : concat([address, encodeTrail(request.trail)]);
  return encodeFrame(KINDS[request.kind], body);
}

export function parseTunnelRequest(bytes: Uint8Array): Parsed<TunnelRequest> {
  const framed = parseFrame(bytes, MAX_TUNNEL_BODY_BYTES);
  if (framed.status !== "done") return framed;
  const { code, body } = framed.value;
  const address = parseAddress(body, 0);
  if (!address) return bad("malformed address");
  const trail = parseTrail(body, address.end);
  if (!trail) return bad("malformed option");
  if (code === KINDS.datagrams) return done({ kind: "datagrams", trail }, framed.length);
  if (code === KINDS.request) return done({ kind: "request", trail }, framed.length);
  if (code !== KINDS.stream) return bad("unknown kind");
  if (address.target.host === "") return bad("no host");
  return done({ kind: "stream", target: address.target, trail }, framed.length);
}

export function encodeTunnelReply(reply: TunnelReply): Uint8Array {
  const message = encodeAtMost(reply.message, MAX_MESSAGE_BYTES);
  const status = reply.failure === undefined ? 0 : DIAL_FAILURES.indexOf(reply.failure) + 1;
  return encodeFrame(status, message);
}

export function parseTunnelReply(bytes: Uint8Array): Parsed<TunnelReply> {
  const framed = parseFrame(bytes, MAX_MESSAGE_BYTES);
  if (framed.status !== "done") return framed;
  const { code, body } = framed.value;
  const message = body.length === 0 ? "" : new TextDecoder("utf-8", { ignoreBOM: true }).decode(body);
  // A newer far side may know reasons we do not.
  return done(code === 0 ? { message } : { failure: DIAL_FAILURES[code - 1] ?? "failed", message }, framed.length);
}

/** Writes a datagram message at the start of `into`; gives its length, or undefined when it does not fit the wire. */
export function writeDatagram(into: Uint8Array, payload: Uint8Array, address: Target): number | undefined {
  const encoded = encodeAddress(address);
  if (!encoded || payload.length > MAX_DATAGRAM_BYTES) return undefined;
  const length = encoded.length + payload.length;
  if (length > 0xffff || into.length < 2 + length) return undefined;
  into[0] = length >>> 8;
  into[1] = length;
  into.set(encoded, 2);
  into.set(payload, 2 + encoded.length);
  return 2 + length;
}

export interface TunnelDatagram {
  readonly address: Target;
  /** A view of the bytes parsed. */
  readonly payload: Uint8Array;
}

export function parseDatagram(bytes: Uint8Array): Parsed<TunnelDatagram> {
  if (bytes.length < 2) return MORE;
  const length = (bytes[0]! << 8) | bytes[1]!;
  if (bytes.length < 2 + length) return MORE;
  const message = bytes.subarray(2, 2 + length);
  const address = parseAddress(message, 0);
  if (!address) return bad("malformed address");
  return done({ address: address.target, payload: message.subarray(address.end) }, 2 + length);
}

function encodeAddress(target: Target): Uint8Array | undefined {
  const host = encoder.encode(target.host);
  if (host.length > MAX_HOST_BYTES) return undefined;
  const address = new Uint8Array(host.length + 3);
  address[0] = host.length;
  address.set(host, 1);
  address[host.length + 1] = target.port >>> 8;
  address[host.length + 2] = target.port;
  return address;
}

function parseAddress(bytes: Uint8Array, at: number): { target: Target; end: number } | undefined {
  const text = parseText(bytes, at);
  if (!text || text.end + 2 > bytes.length) return undefined;
  const port = (bytes[text.end]! << 8) | bytes[text.end + 1]!;
  return { target: { host: text.text, port }, end: text.end + 2 };
}

/** Whether a token can stand in a header field as it is. */
export function isTunnelToken(token: string): boolean {
  return /^[\x21-\x7e]{1,4096}$/.test(token);
}
