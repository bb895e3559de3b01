/**
 * SOCKS4, and 4a with host names, both sides. There is no RFC; the layout is that of the SOCKS4.protocol and
 * SOCKS4a.txt notes that every implementation follows.
 *
 *   client: 04 command port[2] address[4] user… 00 [name… 00]        server: 00 code port[2] address[4]
 *
 * An address of the form 0.0.0.x with x ≠ 0 announces a name after the user id (4a).
 */

import { bad, done, MORE, type Parsed } from "./parse.ts";
import { formatV4, hostName, parseV4 } from "./socks_address.ts";
import type { Target } from "./stream.ts";

export const SOCKS4_VERSION = 4;

export const Socks4Command = { connect: 1, bind: 2 } as const;

/** 92 and 93 are about identd, which nobody runs. */
export const Socks4Reply = { granted: 90, rejected: 91 } as const;

const MAX_USER_BYTES = 255;
const MAX_NAME_BYTES = 255;

export interface Socks4Request {
  readonly command: number;
  readonly target: Target;
  /** A claim, never a proof. */
  readonly user: string;
}

export function parseSocks4Request(bytes: Uint8Array): Parsed<Socks4Request> {
  if (bytes.length > 0 && bytes[0] !== SOCKS4_VERSION) return bad("not SOCKS4");
  if (bytes.length < 9) return MORE;
  const userEnd = bytes.subarray(0, 8 + MAX_USER_BYTES + 1).indexOf(0, 8);
  if (userEnd < 0) return bytes.length > 8 + MAX_USER_BYTES ? bad("user id too long") : MORE;
  const command = bytes[1]!;
  const port = bytes[2]! * 256 + bytes[3]!;
  const user = new TextDecoder().decode(bytes.subarray(8, userEnd));
  const named = bytes[4] === 0 && bytes[5] === 0 && bytes[6] === 0 && bytes[7] !== 0;
  if (!named) return done({ command, target: { host: formatV4(bytes, 4), port }, user }, userEnd + 1);

  const nameAt = userEnd + 1;
  const nameEnd = bytes.subarray(0, nameAt + MAX_NAME_BYTES + 1).indexOf(0, nameAt);
  if (nameEnd < 0) return bytes.length > nameAt + MAX_NAME_BYTES ? bad("host name too long") : MORE;
  const host = hostName(bytes.subarray(nameAt, nameEnd));
  if (!host) return bad("host name empty or with forbidden bytes");
  return done({ command, target: { host, port }, user }, nameEnd + 1);
}

/** Undefined when host or user cannot be written. */
export function encodeSocks4Request(request: Socks4Request): Uint8Array<ArrayBuffer> | undefined {
  const { command, target } = request;
  const user = new TextEncoder().encode(request.user);
  const v4 = parseV4(target.host);
  const name = v4 ? new Uint8Array() : new TextEncoder().encode(target.host);
  // 0.0.0.x would be read as the announcement of a name.
  if (v4 && v4[0] === 0 && v4[1] === 0 && v4[2] === 0 && v4[3] !== 0) return undefined;
  if (user.length > MAX_USER_BYTES || user.includes(0) || name.length > MAX_NAME_BYTES) return undefined;
  if (!v4 && !hostName(name)) return undefined;
  const address = v4 ?? [0, 0, 0, 1];
  const tail = v4 ? [] : [...name, 0];
  return Uint8Array.of(SOCKS4_VERSION, command, target.port >>> 8, target.port & 0xff, ...address, ...user, 0, ...tail);
}

export function parseSocks4Reply(bytes: Uint8Array): Parsed<{ readonly code: number; readonly bound: Target }> {
  if (bytes.length > 0 && bytes[0] !== 0) return bad("not a SOCKS4 reply");
  if (bytes.length < 8) return MORE;
  return done({ code: bytes[1]!, bound: { host: formatV4(bytes, 4), port: bytes[2]! * 256 + bytes[3]! } }, 8);
}

/** `bound` is left out when it is not IPv4, the only kind this protocol can write. */
export function encodeSocks4Reply(code: number, bound?: Target): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(8);
  out[1] = code;
  const v4 = bound && parseV4(bound.host);
  if (bound && v4) {
    out[2] = bound.port >>> 8;
    out[3] = bound.port & 0xff;
    out.set(v4, 4);
  }
  return out;
}
