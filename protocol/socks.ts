/**
 * SOCKS5, both sides: RFC 1928, and the user/password sub-negotiation of RFC 1929. Formats only.
 *
 *   client: 05 n methods[n]                server: 05 method           (ff: none suits)
 *   client: 01 n user[n] m password[m]     server: 01 status           (when method is 02; 0 is yes)
 *   client: 05 command 00 address          server: 05 reply 00 address
 *   datagram, both ways: 00 00 fragment address data
 *
 * Parsers are given all bytes so far and say how many they took. SOCKS4 is in `socks4.ts`; addresses are in
 * `socks_address.ts`; which reply code a failed dial amounts to is in `dial_reply.ts`.
 */

import { bad, done, MORE, type Parsed } from "./parse.ts";
import { encodeAddress, NO_ADDRESS, parseAddress } from "./socks_address.ts";
import type { Target } from "./stream.ts";

/** The first byte of greetings, requests and answers. */
export const SOCKS5_VERSION = 5;
const PASSWORD_VERSION = 1;
/** It keeps nothing from one text to the next. */
const decoder = new TextDecoder();

/** How a client may prove who it is. */
export const SocksMethod = { none: 0x00, password: 0x02, unacceptable: 0xff } as const;

/** What a client may ask for, RFC 1928 §4. */
export const SocksCommand = { connect: 1, bind: 2, udpAssociate: 3 } as const;

/** RFC 1928 §6. */
export const SocksReply = {
  succeeded: 0,
  failed: 1,
  denied: 2,
  networkUnreachable: 3,
  hostUnreachable: 4,
  refused: 5,
  ttlExpired: 6,
  commandUnsupported: 7,
  addressUnsupported: 8,
} as const;

/** Who a client says it is, RFC 1929. */
export interface SocksCredentials {
  /** At most 255 bytes as UTF-8. */
  readonly user: string;
  /** At most 255 bytes as UTF-8. */
  readonly password: string;
}

/** What a client asks for. */
export interface SocksRequest {
  /** One of `SocksCommand`, or one that is unknown. */
  readonly command: number;
  /** Where to; for UDP ASSOCIATE, from where datagrams will come. */
  readonly target: Target;
}

/** What a server says to a request. */
export interface SocksAnswer {
  /** One of `SocksReply`. */
  readonly reply: number;
  /** Where the server is bound. */
  readonly bound: Target;
}

/** Server side: the methods a client offers, a view of the bytes. */
export function parseGreeting(bytes: Uint8Array): Parsed<{ readonly methods: Uint8Array }> {
  if (bytes.length > 0 && bytes[0] !== SOCKS5_VERSION) return bad("not SOCKS5");
  const count = bytes[1];
  if (count === undefined || bytes.length < 2 + count) return MORE;
  return done({ methods: bytes.subarray(2, 2 + count) }, 2 + count);
}

/** Client side: what it offers, each one of `SocksMethod`. */
export function encodeGreeting(methods: readonly number[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(SOCKS5_VERSION, methods.length, ...methods);
}

/** Client side: the method the server chose. */
export function parseMethodChoice(bytes: Uint8Array): Parsed<number> {
  if (bytes.length > 0 && bytes[0] !== SOCKS5_VERSION) return bad("not SOCKS5");
  return bytes.length < 2 ? MORE : done(bytes[1]!, 2);
}

/** Server side: the one of `SocksMethod` that it takes. */
export function encodeMethodChoice(method: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(SOCKS5_VERSION, method);
}

/** Server side: who the client says it is. */
export function parseCredentials(bytes: Uint8Array): Parsed<SocksCredentials> {
  if (bytes.length > 0 && bytes[0] !== PASSWORD_VERSION) return bad("unknown version of the password exchange");
  const userBytes = bytes[1];
  if (userBytes === undefined) return MORE;
  const passwordBytes = bytes[2 + userBytes];
  if (passwordBytes === undefined) return MORE;
  const end = 3 + userBytes + passwordBytes;
  if (bytes.length < end) return MORE;
  return done({
    user: decoder.decode(bytes.subarray(2, 2 + userBytes)),
    password: decoder.decode(bytes.subarray(3 + userBytes, end)),
  }, end);
}

/** Undefined when the name or the password takes more than 255 bytes. */
export function encodeCredentials(credentials: SocksCredentials): Uint8Array<ArrayBuffer> | undefined {
  const encoder = new TextEncoder();
  const user = encoder.encode(credentials.user);
  const password = encoder.encode(credentials.password);
  if (user.length > 255 || password.length > 255) return undefined;
  return Uint8Array.of(PASSWORD_VERSION, user.length, ...user, password.length, ...password);
}

/** Client side: whether the credentials were accepted. */
export function parsePasswordStatus(bytes: Uint8Array): Parsed<boolean> {
  if (bytes.length > 0 && bytes[0] !== PASSWORD_VERSION) return bad("unknown version of the password exchange");
  return bytes.length < 2 ? MORE : done(bytes[1] === 0, 2);
}

/** Server side: whether the credentials are accepted. */
export function encodePasswordStatus(accepted: boolean): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(PASSWORD_VERSION, accepted ? 0 : 1);
}

/** Server side: what the client wants. An unknown command is for the caller to refuse. */
export function parseRequest(bytes: Uint8Array): Parsed<SocksRequest> {
  const parsed = parseMessage(bytes);
  if (parsed.status !== "done") return parsed;
  return done({ command: bytes[1]!, target: parsed.value }, parsed.length);
}

/** Undefined when the host cannot be written. */
export function encodeRequest(request: SocksRequest): Uint8Array<ArrayBuffer> | undefined {
  return encodeMessage(request.command, request.target);
}

/** Client side: how it went. */
export function parseReply(bytes: Uint8Array): Parsed<SocksAnswer> {
  const parsed = parseMessage(bytes);
  if (parsed.status !== "done") return parsed;
  return done({ reply: bytes[1]!, bound: parsed.value }, parsed.length);
}

/** A bound address that cannot be written is left out. */
export function encodeReply(reply: number, bound: Target = NO_ADDRESS): Uint8Array<ArrayBuffer> {
  return encodeMessage(reply, bound) ?? encodeMessage(reply, NO_ADDRESS)!;
}

function parseMessage(bytes: Uint8Array): Parsed<Target> {
  if (bytes.length > 0 && bytes[0] !== SOCKS5_VERSION) return bad("not SOCKS5");
  if (bytes.length < 4) return MORE;
  const address = parseAddress(bytes, 3);
  return address.status === "done" ? done(address.value, 3 + address.length) : address;
}

function encodeMessage(code: number, address: Target): Uint8Array<ArrayBuffer> | undefined {
  const encoded = encodeAddress(address);
  if (!encoded) return undefined;
  const out = new Uint8Array(3 + encoded.length);
  out[0] = SOCKS5_VERSION;
  out[1] = code;
  out.set(encoded, 3);
  return out;
}

/** The header of a datagram. */
export interface SocksDatagram {
  /** Whom it is for, or on the way back whom it is from. */
  readonly address: Target;
  /** Where in the given bytes the data starts. */
  readonly dataAt: number;
}

/** RFC 1928 §7. Undefined for what must be dropped: a fragment, or no datagram of this kind at all. */
export function parseDatagram(bytes: Uint8Array): SocksDatagram | undefined {
  if (bytes.length < 4 || bytes[0] !== 0 || bytes[1] !== 0 || bytes[2] !== 0) return undefined;
  const address = parseAddress(bytes, 3);
  return address.status === "done" ? { address: address.value, dataAt: 3 + address.length } : undefined;
}

/** The header that goes before the data; undefined when the host cannot be written. */
export function encodeDatagramHeader(address: Target): Uint8Array<ArrayBuffer> | undefined {
  const encoded = encodeAddress(address);
  if (!encoded) return undefined;
  const out = new Uint8Array(3 + encoded.length);
  out.set(encoded, 3);
  return out;
}
