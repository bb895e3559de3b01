/**
 * What the two ends of a tunnel say on each mux stream before the bytes that are carried, and around each datagram.
 *
 *   request   version u8 = 1 | kind u8 (1 stream, 2 datagrams) | length u16 BE | body[length]
 *     body    host length u8 | host | port u16 BE | options…        (datagrams: an empty host and port 0)
 *     option  type u8 | length u16 BE | value                       unknown types are skipped
 *       1     a hop of the trail: name length u8 | name | at length u8 | at | round trip u32 BE in µs, 0xffffffff unknown
 *   reply     version u8 = 1 | status u8 | length u16 BE | message[length]     status 0: it is open
 *
 * After a reply of 0 a stream carries bytes both ways. For datagrams each message, both ways, is
 *   length u16 BE | host length u8 | host | port u16 BE | payload               length counts what follows it
 *
 * Texts are UTF-8. Nothing is sent after a request until its reply, so a refused dial has cost nothing.
 */

import type { DialFailure } from "./errors.ts";
import { bad, done, MORE, type Parsed } from "./parse.ts";
import type { Hop, Target } from "./stream.ts";

const VERSION = 1;
const HEAD_BYTES = 4;
const OPTION_HOP = 1;
const RTT_UNKNOWN = 0xffffffff;
/** A request lists at most this many hops; later ones are left out. */
const MAX_HOPS = 16;
const MAX_MESSAGE_BYTES = 512;
/** Above the longest host and the longest hops, with some room for options to come. */
export const MAX_TUNNEL_BODY_BYTES = 9216;
/** The largest datagram a tunnel carries: the most that UDP over IPv4 can. */
export const MAX_DATAGRAM_BYTES = 65507;
const MAX_HOST_BYTES = 255;

/** The order is the wire's: append, never move. */
const STATUSES: readonly DialFailure[] = [
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
];

export type TunnelRequest =
  | { readonly kind: "stream"; readonly target: Target; readonly trail: readonly Hop[] }
  | { readonly kind: "datagrams"; readonly trail: readonly Hop[] };

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
  const options = request.trail.slice(0, MAX_HOPS).map(encodeHop);
  const body = concat([address, ...options]);
  return concat([head(request.kind === "stream" ? 1 : 2, body.length), body]);
}

export function parseTunnelRequest(bytes: Uint8Array): Parsed<TunnelRequest> {
  const framed = parseHead(bytes, MAX_TUNNEL_BODY_BYTES);
  if (framed.status !== "done") return framed;
  const { code, body } = framed.value;
  const address = parseAddress(body, 0);
  if (!address) return bad("malformed address");
  const trail = parseHops(body, address.end);
  if (!trail) return bad("malformed option");
  if (code === 2) return done({ kind: "datagrams", trail }, framed.length);
  if (code !== 1) return bad("unknown kind");
  if (address.target.host === "") return bad("no host");
  return done({ kind: "stream", target: address.target, trail }, framed.length);
}

export function encodeTunnelReply(reply: TunnelReply): Uint8Array {
  const message = encodeAtMost(reply.message, MAX_MESSAGE_BYTES);
  const status = reply.failure === undefined ? 0 : STATUSES.indexOf(reply.failure) + 1;
  return concat([head(status, message.length), message]);
}

export function parseTunnelReply(bytes: Uint8Array): Parsed<TunnelReply> {
  const framed = parseHead(bytes, MAX_MESSAGE_BYTES);
  if (framed.status !== "done") return framed;
  const { code, body } = framed.value;
  const message = new TextDecoder("utf-8", { ignoreBOM: true }).decode(body);
  // A newer far side may know reasons we do not.
  return done(code === 0 ? { message } : { failure: STATUSES[code - 1] ?? "failed", message }, framed.length);
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

function head(code: number, length: number): Uint8Array {
  return Uint8Array.of(VERSION, code, length >>> 8, length);
}

function parseHead(bytes: Uint8Array, maxBytes: number): Parsed<{ code: number; body: Uint8Array }> {
  if (bytes.length > 0 && bytes[0] !== VERSION) return bad("unknown version");
  if (bytes.length < HEAD_BYTES) return MORE;
  const length = (bytes[2]! << 8) | bytes[3]!;
  if (length > maxBytes) return bad("too long");
  if (bytes.length < HEAD_BYTES + length) return MORE;
  return done({ code: bytes[1]!, body: bytes.subarray(HEAD_BYTES, HEAD_BYTES + length) }, HEAD_BYTES + length);
}

function encodeAddress(target: Target): Uint8Array | undefined {
  const host = new TextEncoder().encode(target.host);
  if (host.length > MAX_HOST_BYTES) return undefined;
  return concat([Uint8Array.of(host.length), host, Uint8Array.of(target.port >>> 8, target.port)]);
}

function parseAddress(bytes: Uint8Array, at: number): { target: Target; end: number } | undefined {
  const text = parseText(bytes, at);
  if (!text || text.end + 2 > bytes.length) return undefined;
  const port = (bytes[text.end]! << 8) | bytes[text.end + 1]!;
  return { target: { host: text.text, port }, end: text.end + 2 };
}

function encodeHop(hop: Hop): Uint8Array {
  const rttUs = hop.rttMs === undefined
    ? RTT_UNKNOWN
    : Math.min(Math.max(0, Math.round(hop.rttMs * 1000)), RTT_UNKNOWN - 1);
  const value = concat([
    encodeText(hop.name),
    encodeText(hop.at),
    Uint8Array.of(rttUs >>> 24, rttUs >>> 16, rttUs >>> 8, rttUs),
  ]);
  return concat([Uint8Array.of(OPTION_HOP, value.length >>> 8, value.length), value]);
}

/** The hops among the options; undefined when the options do not add up. */
function parseHops(bytes: Uint8Array, from: number): Hop[] | undefined {
  const hops: Hop[] = [];
  for (let at = from; at < bytes.length;) {
    if (at + 3 > bytes.length) return undefined;
    const end = at + 3 + ((bytes[at + 1]! << 8) | bytes[at + 2]!);
    if (end > bytes.length) return undefined;
    if (bytes[at] === OPTION_HOP) {
      const hop = parseHop(bytes.subarray(at + 3, end));
      if (!hop || hops.length === MAX_HOPS) return undefined;
      hops.push(hop);
    }
    at = end;
  }
  return hops;
}

function parseHop(value: Uint8Array): Hop | undefined {
  const name = parseText(value, 0);
  const at = name && parseText(value, name.end);
  if (!at || at.end + 4 !== value.length) return undefined;
  const rttUs = new DataView(value.buffer, value.byteOffset + at.end).getUint32(0);
  const hop = { name: name.text, at: at.text };
  return rttUs === RTT_UNKNOWN ? hop : { ...hop, rttMs: rttUs / 1000 };
}

function encodeText(text: string): Uint8Array {
  const bytes = encodeAtMost(text, 255);
  return concat([Uint8Array.of(bytes.length), bytes]);
}

/** The start of a text, cut between characters. */
function encodeAtMost(text: string, maxBytes: number): Uint8Array {
  const bytes = new Uint8Array(maxBytes);
  return bytes.subarray(0, new TextEncoder().encodeInto(text, bytes).written);
}

/** Whether a token can stand in a header field as it is. */
export function isTunnelToken(token: string): boolean {
  return /^[\x21-\x7e]{1,4096}$/.test(token);
}

function parseText(bytes: Uint8Array, at: number): { text: string; end: number } | undefined {
  const length = bytes[at];
  if (length === undefined || at + 1 + length > bytes.length) return undefined;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      bytes.subarray(at + 1, at + 1 + length),
    );
    return { text, end: at + 1 + length };
  } catch {
    return undefined;
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
