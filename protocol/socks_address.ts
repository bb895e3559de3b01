/**
 * Addresses as SOCKS5 writes them (RFC 1928 §5), in requests, replies and datagrams alike:
 *
 *   ATYP 1 | address 4..16 or length-prefixed name | port 2, big endian
 *
 * ATYP 1 is IPv4, 3 a name of 1 to 255 bytes, 4 IPv6. A name is taken as printable ASCII without spaces: what else may
 * stand in a host name is for the resolver to say.
 */

import { bad, done, MORE, type Parsed } from "./parse.ts";
import type { Target } from "./stream.ts";

const ATYP_V4 = 1;
const ATYP_NAME = 3;
const ATYP_V6 = 4;

/** The address that stands for "none" in a reply. */
export const NO_ADDRESS: Target = { host: "0.0.0.0", port: 0 };

/** Reads ATYP, address and port from `at` on; `length` counts from there. */
export function parseAddress(bytes: Uint8Array, at: number): Parsed<Target> {
  const type = bytes[at];
  if (type === undefined) return MORE;
  if (type === ATYP_V4) {
    if (bytes.length < at + 7) return MORE;
    return done({ host: formatV4(bytes, at + 1), port: portAt(bytes, at + 5) }, 7);
  }
  if (type === ATYP_V6) {
    if (bytes.length < at + 19) return MORE;
    return done({ host: formatV6(bytes.subarray(at + 1, at + 17)), port: portAt(bytes, at + 17) }, 19);
  }
  if (type !== ATYP_NAME) return bad("unknown address type");
  const length = bytes[at + 1];
  if (length === undefined) return MORE;
  if (length === 0) return bad("empty host name");
  if (bytes.length < at + 4 + length) return MORE;
  const host = hostName(bytes.subarray(at + 2, at + 2 + length));
  return host === undefined
    ? bad("host name with forbidden bytes")
    : done({ host, port: portAt(bytes, at + 2 + length) }, length + 4);
}

/** ATYP, address and port; undefined for a name that is empty or longer than 255 bytes, or holds forbidden ones. */
export function encodeAddress(address: Target): Uint8Array<ArrayBuffer> | undefined {
  const v4 = parseV4(address.host);
  const v6 = v4 ? undefined : parseV6(address.host);
  const body = v4 ?? v6 ?? encodeName(address.host);
  if (!body) return undefined;
  const out = new Uint8Array(body.length + 3);
  out[0] = v4 ? ATYP_V4 : v6 ? ATYP_V6 : ATYP_NAME;
  out.set(body, 1);
  out[body.length + 1] = address.port >>> 8;
  out[body.length + 2] = address.port & 0xff;
  return out;
}

/** The host name in these bytes, or undefined if one of them cannot stand in a host name. */
export function hostName(bytes: Uint8Array): string | undefined {
  let name = "";
  for (const byte of bytes) {
    if (byte <= 0x20 || byte >= 0x7f) return undefined;
    name += String.fromCharCode(byte);
  }
  return name;
}

export function formatV4(bytes: Uint8Array, at: number): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
}

/** The four bytes of a dotted quad in its one usual spelling. */
export function parseV4(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/.test(text)) return undefined;
  return Uint8Array.from(text.split("."), Number);
}

/** The canonical text of RFC 5952: lower case, the longest run of zero groups as `::`. */
export function formatV6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, index) => portAt(bytes, index * 2));
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
    if (length > 0) start += length;
  }
  const text = (from: number, to: number) => groups.slice(from, to).map((group) => group.toString(16)).join(":");
  return best.start < 0 ? text(0, 8) : `${text(0, best.start)}::${text(best.start + best.length, 8)}`;
}

/** The sixteen bytes of an IPv6 address, with or without `::` and a dotted quad at its end. */
export function parseV6(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!text.includes(":") || text.length > 45) return undefined;
  const sides = text.split("::");
  if (sides.length > 2) return undefined;
  const left = groupsOf(sides[0]!, sides.length === 1);
  const right = sides.length === 2 ? groupsOf(sides[1]!, true) : [];
  if (!left || !right) return undefined;
  const missing = 8 - left.length - right.length;
  if (sides.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const out = new Uint8Array(16);
  [...left, ...Array<number>(missing).fill(0), ...right].forEach((group, index) => {
    out[index * 2] = group >>> 8;
    out[index * 2 + 1] = group & 0xff;
  });
  return out;
}

function groupsOf(side: string, mayEndInV4: boolean): number[] | undefined {
  if (side === "") return [];
  const groups: number[] = [];
  const words = side.split(":");
  for (const [index, word] of words.entries()) {
    const v4 = mayEndInV4 && index === words.length - 1 ? parseV4(word) : undefined;
    if (v4) groups.push(portAt(v4, 0), portAt(v4, 2));
    else if (/^[0-9A-Fa-f]{1,4}$/.test(word)) groups.push(parseInt(word, 16));
    else return undefined;
  }
  return groups;
}

function encodeName(name: string): Uint8Array | undefined {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length === 0 || bytes.length > 255 || hostName(bytes) === undefined) return undefined;
  const out = new Uint8Array(bytes.length + 1);
  out[0] = bytes.length;
  out.set(bytes, 1);
  return out;
}

function portAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 256 + bytes[at + 1]!;
}
