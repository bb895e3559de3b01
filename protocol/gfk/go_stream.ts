/**
 * How a stream of GFW-knocker's Go version begins, over smux or QUIC:
 *
 *   client   tag[32] │ length u16 BE (5 to 512) │ version u8 = 1 │ command u8 │ kind u8 │ address │ port u16 BE
 *   server   one byte: 0 open, 1 unknown secret, 2 not dialled, 3 malformed
 *
 *   tag      HMAC-SHA-256 of the header, under "gfk-stream-v1:" + secret; the length counts what follows it
 *   command  1 TCP, 2 UDP, 3 HELLO (which asks for nothing but the answer: is anyone there who knows the secret?)
 *   kind     0 a port of the server's backend (no address), 1 IPv4 [4], 3 a name (length u8, text), 4 IPv6 [16]
 *
 * Datagrams on a UDP stream, both ways: length u16 BE │ payload. All of them go to and come from the one target.
 * The tag binds neither time nor session, so a header that was seen can be sent again: that is the original's weakness, and
 * the reason for our own way of doing this.
 */

import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { formatIp, type IpAddress, parseIp } from "../ip.ts";
import { bad, done, MORE, type Parsed } from "../parse.ts";

const TAG_BYTES = 32;
const HEAD_BYTES = TAG_BYTES + 2;
const MIN_BODY_BYTES = 5;
const MAX_BODY_BYTES = 512;
const VERSION = 1;
const KEY_PREFIX = "gfk-stream-v1:";

export const GO_COMMANDS = { tcp: 1, udp: 2, hello: 3 } as const;
const KINDS = { port: 0, v4: 1, name: 3, v6: 4 } as const;

export const GoReply = { ok: 0, auth: 1, dial: 2, malformed: 3 } as const;

export interface GoRequest {
  readonly command: keyof typeof GO_COMMANDS;
  /** Absent: the server's backend. */
  readonly host?: string;
  readonly port: number;
}

/** The key of a secret's tags. */
export function goStreamKey(secret: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(KEY_PREFIX + secret);
}

/** Undefined when the host does not fit. */
export function encodeGoRequest(key: Uint8Array, request: GoRequest): Uint8Array<ArrayBuffer> | undefined {
  const address = encodeAddress(request.host);
  if (!address) return undefined;
  const body = new Uint8Array(2 + address.length + 2);
  body.set([VERSION, GO_COMMANDS[request.command], ...address, request.port >>> 8, request.port & 0xff]);
  const header = new Uint8Array(HEAD_BYTES + body.length);
  new DataView(header.buffer).setUint16(TAG_BYTES, body.length);
  header.set(body, HEAD_BYTES);
  header.set(tagOf(key, body), 0);
  return header;
}

/** What a header was: a request; or why it is refused, in the server's word for it. */
export type GoHeader =
  | { readonly request: GoRequest }
  | { readonly refused: typeof GoReply.auth | typeof GoReply.malformed };

/** `bad` only when there is no telling where the header ends. */
export function parseGoRequest(bytes: Uint8Array, key: Uint8Array): Parsed<GoHeader> {
  if (bytes.length < HEAD_BYTES) return MORE;
  const length = bytes[TAG_BYTES]! << 8 | bytes[TAG_BYTES + 1]!;
  if (length < MIN_BODY_BYTES || length > MAX_BODY_BYTES) return bad("impossible length");
  const end = HEAD_BYTES + length;
  if (bytes.length < end) return MORE;
  const body = bytes.subarray(HEAD_BYTES, end);
  if (!isTag(tagOf(key, body), bytes)) return done({ refused: GoReply.auth }, end);
  const request = parseBody(body);
  return done(request ? { request } : { refused: GoReply.malformed }, end);
}

function parseBody(body: Uint8Array): GoRequest | undefined {
  const command = (Object.keys(GO_COMMANDS) as (keyof typeof GO_COMMANDS)[])
    .find((name) => GO_COMMANDS[name] === body[1]);
  if (body[0] !== VERSION || !command) return undefined;
  const port = body[body.length - 2]! << 8 | body[body.length - 1]!;
  const address = body.subarray(3, body.length - 2);
  switch (body[2]) {
    case KINDS.port:
      return address.length === 0 ? { command, port } : undefined;
    case KINDS.v4:
      return address.length === 4 ? { command, host: formatIp(address.slice()), port } : undefined;
    case KINDS.v6:
      return address.length === 16 ? { command, host: formatIp(address.slice()), port } : undefined;
    case KINDS.name: {
      if (address.length < 2 || address[0] !== address.length - 1) return undefined;
      const name = decodeName(address.subarray(1));
      return name === undefined ? undefined : { command, host: name, port };
    }
  }
  return undefined;
}

/** The kind and the address. */
function encodeAddress(host: string | undefined): readonly number[] | undefined {
  if (host === undefined) return [KINDS.port];
  const ip: IpAddress | undefined = parseIp(host);
  if (ip) return [ip.length === 4 ? KINDS.v4 : KINDS.v6, ...ip];
  const name = new TextEncoder().encode(host);
  return name.length >= 1 && name.length <= 255 ? [KINDS.name, name.length, ...name] : undefined;
}

function decodeName(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Takes as long whichever byte is wrong. */
function isTag(tag: Uint8Array, bytes: Uint8Array): boolean {
  let difference = 0;
  for (let at = 0; at < TAG_BYTES; at++) difference |= tag[at]! ^ bytes[at]!;
  return difference === 0;
}

function tagOf(key: Uint8Array, body: Uint8Array): Uint8Array {
  return hmac(sha256, key, body);
}
