/**
 * What an IP address is good for, by the registries of special-purpose addresses (RFC 6890 and its updates): one
 * table, the most specific row first. Everything IPv6 outside 2000::/3 is reserved, as nothing there is given out.
 *
 * An IPv6 address that carries an IPv4 address has a class of its own whatever it carries: it is a second spelling of
 * a place that a rule may have closed under its first one. `embeddedIpv4` gives the address inside.
 */

import { type Cidr, contains, type IpAddress, parseCidr } from "./ip.ts";

export type IpClass = typeof CLASSES[number];

/** Every class; all but `public` are closed to an egress unless opened by name. */
export const CLASSES = [
  "public",
  "unspecified",
  "loopback",
  "private",
  "cgnat",
  "link-local",
  "protocol-assignments",
  "documentation",
  "benchmark",
  "6to4-relay",
  "multicast",
  "broadcast",
  "reserved",
  "unique-local",
  "site-local",
  "discard",
  "orchid",
  "teredo",
  "6to4",
  "nat64",
  "nat64-local",
  "srv6",
  "v4-mapped",
  "v4-translated",
  "v4-compatible",
] as const;

/** One row: the addresses, what they are, and who says so. */
export interface ClassRow {
  readonly prefix: Cidr;
  readonly class: IpClass;
  readonly source: string;
}

const ROWS_V4 = rows([
  ["255.255.255.255/32", "broadcast", "RFC 919 §7"],
  ["0.0.0.0/8", "unspecified", "RFC 1122 §3.2.1.3"],
  ["10.0.0.0/8", "private", "RFC 1918 §3"],
  ["100.64.0.0/10", "cgnat", "RFC 6598 §7"],
  ["127.0.0.0/8", "loopback", "RFC 1122 §3.2.1.3"],
  ["169.254.0.0/16", "link-local", "RFC 3927 §2.1"],
  ["172.16.0.0/12", "private", "RFC 1918 §3"],
  ["192.0.0.0/24", "protocol-assignments", "RFC 6890"],
  ["192.0.2.0/24", "documentation", "RFC 5737 §3"],
  ["192.88.99.0/24", "6to4-relay", "RFC 7526"],
  ["192.168.0.0/16", "private", "RFC 1918 §3"],
  ["198.18.0.0/15", "benchmark", "RFC 2544 §C.2.2"],
  ["198.51.100.0/24", "documentation", "RFC 5737 §3"],
  ["203.0.113.0/24", "documentation", "RFC 5737 §3"],
  ["224.0.0.0/4", "multicast", "RFC 5771"],
  ["240.0.0.0/4", "reserved", "RFC 1112 §4"],
  ["0.0.0.0/0", "public", "RFC 6890"],
]);

const ROWS_V6 = rows([
  ["::/128", "unspecified", "RFC 4291 §2.5.2"],
  ["::1/128", "loopback", "RFC 4291 §2.5.3"],
  ["::/96", "v4-compatible", "RFC 4291 §2.5.5.1"],
  ["::ffff:0:0/96", "v4-mapped", "RFC 4291 §2.5.5.2"],
  ["::ffff:0:0:0/96", "v4-translated", "RFC 2765 §2.1"],
  ["64:ff9b::/96", "nat64", "RFC 6052 §2.1"],
  ["64:ff9b:1::/48", "nat64-local", "RFC 8215"],
  ["100::/64", "discard", "RFC 6666"],
  ["2001::/32", "teredo", "RFC 4380 §2.6"],
  ["2001:2::/48", "benchmark", "RFC 5180 §8"],
  ["2001:10::/28", "orchid", "RFC 4843 §2"],
  ["2001:20::/28", "orchid", "RFC 7343 §2"],
  ["2001::/23", "protocol-assignments", "RFC 2928"],
  ["2001:db8::/32", "documentation", "RFC 3849 §2"],
  ["2002::/16", "6to4", "RFC 3056 §2"],
  ["3fff::/20", "documentation", "RFC 9637"],
  ["5f00::/16", "srv6", "RFC 9602"],
  ["fc00::/7", "unique-local", "RFC 4193 §3.1"],
  ["fe80::/10", "link-local", "RFC 4291 §2.5.6"],
  ["fec0::/10", "site-local", "RFC 3879 §4"],
  ["ff00::/8", "multicast", "RFC 4291 §2.7"],
  ["2000::/3", "public", "RFC 4291 §2.4"],
  ["::/0", "reserved", "RFC 4291 §4"],
]);

/** The whole table, the most specific row of each family first. */
export const CLASS_ROWS: readonly ClassRow[] = [...ROWS_V4, ...ROWS_V6];

function rows(texts: readonly (readonly [prefix: string, IpClass, source: string])[]): readonly ClassRow[] {
  return texts.map(([prefix, name, source]) => ({ prefix: parseCidr(prefix)!, class: name, source }));
}

/** The class of an address. */
export function classify(address: IpAddress): IpClass {
  for (const row of address.length === 4 ? ROWS_V4 : ROWS_V6) {
    if (contains(row.prefix, address)) return row.class;
  }
  return "reserved";
}

/**
 * The IPv4 address that an IPv6 address leads to in the end. Undefined where there is none, and for `nat64-local`,
 * where only the network itself knows at which bits the address lies (RFC 6052 §2.2 has six places for it).
 */
export function embeddedIpv4(address: IpAddress): IpAddress | undefined {
  switch (classify(address)) {
    case "v4-mapped":
    case "v4-translated":
    case "v4-compatible":
    case "nat64":
      return address.slice(12);
    case "6to4":
      return address.slice(2, 6);
    case "teredo": // the client's address, every bit turned over: RFC 4380 §4
      return address.slice(12).map((byte) => byte ^ 0xff);
    default:
      return undefined;
  }
}
