/**
 * IP addresses and networks: text ↔ bytes, and which network holds which address.
 *
 * An address is its bytes in network order, 4 for IPv4 and 16 for IPv6; the length tells them apart. Text is read
 * strictly (dotted decimal, RFC 4291 §2.2) and written canonically (RFC 5952). What people and attackers write instead
 * of an address (`0x7f.1`, `2130706433`) is read by `host.ts`; what an address is good for is told by `ip_class.ts`.
 * Zone ids (`%eth0`) are not part of an address and are not accepted.
 */

/** 4 or 16 bytes in network order. */
export type IpAddress = Uint8Array<ArrayBuffer>;

/** The addresses whose first `bits` bits are those of `address`; the other bits of `address` are zero. */
export interface Cidr {
  readonly address: IpAddress;
  readonly bits: number;
}

const DOT = 0x2e;
const ZERO = 0x30;
/** The longest text of an address: eight groups, the last two dotted. */
const MAX_TEXT_LENGTH = 45;
const GROUP = /^[0-9A-Fa-f]{1,4}$/;

/** Reads an IPv4 or IPv6 address; undefined if it is neither. */
export function parseIp(text: string): IpAddress | undefined {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** Reads four decimal numbers with dots; no leading zeros, no other notation. */
export function parseIpv4(text: string): IpAddress | undefined {
  if (text.length < 7 || text.length > 15) return undefined;
  const address = new Uint8Array(4);
  let at = 0;
  for (let part = 0; part < 4; part++) {
    if (part > 0 && text.charCodeAt(at++) !== DOT) return undefined;
    const start = at;
    let value = 0;
    for (; at < text.length && at - start < 3; at++) {
      const digit = text.charCodeAt(at) - ZERO;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    const digits = at - start;
    if (digits === 0 || value > 255 || (digits > 1 && text.charCodeAt(start) === ZERO)) return undefined;
    address[part] = value;
  }
  return at === text.length ? address : undefined;
}

/** Reads an IPv6 address without brackets, `::` and a dotted tail included. */
export function parseIpv6(text: string): IpAddress | undefined {
  if (text.length < 2 || text.length > MAX_TEXT_LENGTH) return undefined;
  const groupsOnly = dottedTailAsGroups(text);
  if (groupsOnly === undefined) return undefined;
  const halves = groupsOnly.split("::");
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0]!);
  const tail = groupsOf(halves[1] ?? "");
  if (!head || !tail) return undefined;
  const count = head.length + tail.length;
  if (halves.length === 2 ? count > 7 : count !== 8) return undefined;
  const address = new Uint8Array(16);
  head.forEach((group, index) => putGroup(address, index, group));
  tail.forEach((group, index) => putGroup(address, 8 - tail.length + index, group));
  return address;
}

/** `::ffff:192.0.2.1` as `::ffff:c000:0201`, so that only groups remain; undefined if the tail is not IPv4. */
function dottedTailAsGroups(text: string): string | undefined {
  if (!text.includes(".")) return text;
  const tailAt = text.lastIndexOf(":") + 1;
  const tail = parseIpv4(text.slice(tailAt));
  if (!tail) return undefined;
  return `${text.slice(0, tailAt)}${groupText(tail, 0)}:${groupText(tail, 1)}`;
}

function groupsOf(text: string): number[] | undefined {
  if (text === "") return [];
  const groups = text.split(":");
  return groups.every((group) => GROUP.test(group)) ? groups.map((group) => parseInt(group, 16)) : undefined;
}

function putGroup(address: IpAddress, index: number, group: number): void {
  address[2 * index] = group >> 8;
  address[2 * index + 1] = group;
}

function groupAt(address: IpAddress, index: number): number {
  return (address[2 * index]! << 8) | address[2 * index + 1]!;
}

function groupText(address: IpAddress, index: number): string {
  return groupAt(address, index).toString(16);
}

/** Writes an address: dotted decimal, or the canonical text of RFC 5952 §4 (and §5 for v4-mapped addresses). */
export function formatIp(address: IpAddress): string {
  if (address.length === 4) return `${address[0]}.${address[1]}.${address[2]}.${address[3]}`;
  if (isV4Mapped(address)) return `::ffff:${formatIp(address.subarray(12))}`;
  const gap = longestZeroRun(address);
  if (gap.length < 2) return groupsText(address, 0, 8);
  return `${groupsText(address, 0, gap.start)}::${groupsText(address, gap.start + gap.length, 8)}`;
}

function groupsText(address: IpAddress, from: number, to: number): string {
  let text = "";
  for (let index = from; index < to; index++) text += (index > from ? ":" : "") + groupText(address, index);
  return text;
}

/** The first of the longest runs of zero groups. */
function longestZeroRun(address: IpAddress): { start: number; length: number } {
  const longest = { start: 0, length: 0 };
  for (let start = 0; start < 8; start++) {
    let end = start;
    while (end < 8 && groupAt(address, end) === 0) end++;
    if (end - start > longest.length) {
      longest.start = start;
      longest.length = end - start;
    }
    start = end;
  }
  return longest;
}

/** Whether it is `::ffff:a.b.c.d`, RFC 4291 §2.5.5.2. */
export function isV4Mapped(address: IpAddress): boolean {
  if (address.length !== 16 || address[10] !== 0xff || address[11] !== 0xff) return false;
  for (let at = 0; at < 10; at++) if (address[at] !== 0) return false;
  return true;
}

/** Whether two addresses are the same; an IPv4 address never equals an IPv6 one. */
export function equalIp(one: IpAddress, other: IpAddress): boolean {
  return one.length === other.length && commonBits(one, other) === one.length * 8;
}

/** How many leading bits two addresses of one family share. */
export function commonBits(one: IpAddress, other: IpAddress): number {
  for (let at = 0; at < one.length; at++) {
    const difference = one[at]! ^ other[at]!;
    if (difference !== 0) return at * 8 + Math.clz32(difference) - 24;
  }
  return one.length * 8;
}

/** The network of `bits` bits that an address lies in; undefined if it has no such prefix. */
export function networkOf(address: IpAddress, bits: number): Cidr | undefined {
  if (!Number.isInteger(bits) || bits < 0 || bits > address.length * 8) return undefined;
  const network = new Uint8Array(address.length);
  const whole = bits >> 3;
  network.set(address.subarray(0, whole));
  if (bits & 7) network[whole] = address[whole]! & (0xff00 >> (bits & 7));
  return { address: network, bits };
}

/** Of a single address. */
export function hostCidr(address: IpAddress): Cidr {
  return { address, bits: address.length * 8 };
}

/** Reads `address/bits`, or an address alone for itself only. Bits after the prefix are cleared. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf("/");
  const address = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (!address) return undefined;
  if (slash < 0) return networkOf(address, address.length * 8);
  const bits = text.slice(slash + 1);
  return /^(?:0|[1-9]\d{0,2})$/.test(bits) ? networkOf(address, Number(bits)) : undefined;
}

/** Writes `address/bits`. */
export function formatCidr(cidr: Cidr): string {
  return `${formatIp(cidr.address)}/${cidr.bits}`;
}

/** Whether the network holds the address; never across families. */
export function contains(cidr: Cidr, address: IpAddress): boolean {
  if (cidr.address.length !== address.length) return false;
  const whole = cidr.bits >> 3;
  for (let at = 0; at < whole; at++) if (cidr.address[at] !== address[at]) return false;
  const rest = cidr.bits & 7;
  return rest === 0 || (cidr.address[whole]! ^ address[whole]!) >> (8 - rest) === 0;
}
