/**
 * What a host text means: an address or a name, decided before any policy looks at it.
 *
 * inet_aton, getaddrinfo and URL parsers take many texts for an address: `2130706433`, `0177.0.0.1`, `0x7f.1`, `127.1`,
 * `[::1]`. A policy that sees a name there and a resolver that sees 127.0.0.1 are two minds. So whatever ends in a
 * number is read here as the WHATWG URL standard reads it (§3.5, "ends in a number" and the IPv4 parser) and is an
 * address or nothing; a name that reaches a resolver cannot be taken for one.
 *
 * Names are ASCII (RFC 1123 §2.1, and `_` as in use); an international name comes as punycode, `xn--…`, as browsers
 * and curl send it. Other letters are refused, since some resolvers fold `１２７.0.0.1` into digits.
 */

import { type IpAddress, parseIpv4, parseIpv6 } from "./ip.ts";

/** RFC 1035 §2.3.4, as text: 255 bytes on the wire less the first length and the root. */
const MAX_NAME_LENGTH = 253;
const NAME = /^[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*$/;
const ENDS_IN_NUMBER = /(?:^|\.)(?:\d+|0[xX][0-9A-Fa-f]*)$/;

/** An address, or a name in lower case without its final dot, or undefined for what is neither. */
export function parseHost(text: string): IpAddress | string | undefined {
  if (text.length > MAX_NAME_LENGTH + 1) return undefined;
  if (text.startsWith("[")) return text.endsWith("]") ? parseIpv6(text.slice(1, -1)) : undefined;
  if (text.includes(":")) return parseIpv6(text);
  const name = text.endsWith(".") ? text.slice(0, -1) : text;
  if (ENDS_IN_NUMBER.test(name)) return parseIpv4(name) ?? parseLooseIpv4(name);
  return name.length <= MAX_NAME_LENGTH && NAME.test(name) ? name.toLowerCase() : undefined;
}

/** One to four numbers, each decimal, octal (`0…`) or hexadecimal (`0x…`); the last fills the bytes that are left. */
function parseLooseIpv4(text: string): IpAddress | undefined {
  const parts = text.split(".");
  if (parts.length > 4) return undefined;
  const address = new Uint8Array(4);
  for (const [index, part] of parts.entries()) {
    const isLast = index === parts.length - 1;
    const value = parseLooseNumber(part);
    if (value === undefined || value >= (isLast ? 256 ** (4 - index) : 256)) return undefined;
    if (isLast) { for (let at = 3, rest = value; at >= index; at--, rest = Math.floor(rest / 256)) address[at] = rest; }
    else address[index] = value;
  }
  return address;
}

function parseLooseNumber(text: string): number | undefined {
  if (/^0[xX][0-9A-Fa-f]*$/.test(text)) return text.length === 2 ? 0 : parseInt(text, 16);
  if (/^0[0-7]*$/.test(text)) return parseInt(text, 8);
  return /^[1-9]\d*$/.test(text) ? parseInt(text, 10) : undefined;
}
