import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { type Cidr, contains, formatCidr, formatIp, type IpAddress, parseCidr, parseIp } from "./ip.ts";
import { CLASS_ROWS, CLASSES, classify, embeddedIpv4 } from "./ip_class.ts";

function toNumber(address: IpAddress): bigint {
  return address.reduce((number, byte) => number << 8n | BigInt(byte), 0n);
}

function fromNumber(number: bigint, length: number): IpAddress | undefined {
  if (number < 0n || number >> BigInt(8 * length) !== 0n) return undefined;
  return Uint8Array.from({ length }, (_, at) => Number(number >> BigInt(8 * (length - 1 - at)) & 0xffn));
}

function edgesOf({ address, bits }: Cidr) {
  const first = toNumber(address);
  const last = first + (1n << BigInt(address.length * 8 - bits)) - 1n;
  const at = (number: bigint) => fromNumber(number, address.length);
  return { before: at(first - 1n), first: at(first)!, last: at(last)!, after: at(last + 1n) };
}

/** The readable twin of the table: for each prefix, what lies at its first and last address and just outside. */
const EDGES: [prefix: string, before: string, first: string, last: string, after: string][] = [
  ["0.0.0.0/8", "", "unspecified", "unspecified", "public"],
  ["10.0.0.0/8", "public", "private", "private", "public"],
  ["100.64.0.0/10", "public", "cgnat", "cgnat", "public"],
  ["127.0.0.0/8", "public", "loopback", "loopback", "public"],
  ["169.254.0.0/16", "public", "link-local", "link-local", "public"],
  ["172.16.0.0/12", "public", "private", "private", "public"],
  ["192.0.0.0/24", "public", "protocol-assignments", "protocol-assignments", "public"],
  ["192.0.2.0/24", "public", "documentation", "documentation", "public"],
  ["192.88.99.0/24", "public", "6to4-relay", "6to4-relay", "public"],
  ["192.168.0.0/16", "public", "private", "private", "public"],
  ["198.18.0.0/15", "public", "benchmark", "benchmark", "public"],
  ["198.51.100.0/24", "public", "documentation", "documentation", "public"],
  ["203.0.113.0/24", "public", "documentation", "documentation", "public"],
  ["224.0.0.0/4", "public", "multicast", "multicast", "reserved"],
  ["240.0.0.0/4", "multicast", "reserved", "broadcast", ""],
  ["255.255.255.255/32", "reserved", "broadcast", "broadcast", ""],
  ["0.0.0.0/0", "", "unspecified", "broadcast", ""],
  ["::/128", "", "unspecified", "unspecified", "loopback"],
  ["::1/128", "unspecified", "loopback", "loopback", "v4-compatible"],
  ["::/96", "", "unspecified", "v4-compatible", "reserved"],
  ["::ffff:0:0/96", "reserved", "v4-mapped", "v4-mapped", "reserved"],
  ["::ffff:0:0:0/96", "reserved", "v4-translated", "v4-translated", "reserved"],
  ["64:ff9b::/96", "reserved", "nat64", "nat64", "reserved"],
  ["64:ff9b:1::/48", "reserved", "nat64-local", "nat64-local", "reserved"],
  ["100::/64", "reserved", "discard", "discard", "reserved"],
  ["2001::/32", "public", "teredo", "teredo", "protocol-assignments"],
  ["2001:2::/48", "protocol-assignments", "benchmark", "benchmark", "protocol-assignments"],
  ["2001:10::/28", "protocol-assignments", "orchid", "orchid", "orchid"],
  ["2001:20::/28", "orchid", "orchid", "orchid", "protocol-assignments"],
  ["2001::/23", "public", "teredo", "protocol-assignments", "public"],
  ["2001:db8::/32", "public", "documentation", "documentation", "public"],
  ["2002::/16", "public", "6to4", "6to4", "public"],
  ["2000::/3", "reserved", "public", "public", "reserved"],
  ["3fff::/20", "public", "documentation", "documentation", "public"],
  ["5f00::/16", "reserved", "srv6", "srv6", "reserved"],
  ["fc00::/7", "reserved", "unique-local", "unique-local", "reserved"],
  ["fe80::/10", "reserved", "link-local", "link-local", "site-local"],
  ["fec0::/10", "link-local", "site-local", "site-local", "multicast"],
  ["ff00::/8", "site-local", "multicast", "multicast", ""],
  ["::/0", "", "unspecified", "multicast", ""],
];

for (const [prefix, ...expected] of EDGES) {
  Deno.test(`${prefix} is classified at both ends and just outside them`, () => {
    const { before, first, last, after } = edgesOf(parseCidr(prefix)!);
    const found = [before, first, last, after].map((address) => address ? classify(address) : "");
    assertEquals(found as string[], expected);
  });
}

Deno.test("every row of the table is tested above, and every class has a row", () => {
  const tested = EDGES.map(([prefix]) => prefix).sort();
  assertEquals(
    CLASS_ROWS.map((row) => formatCidr(row.prefix)).sort(),
    tested.map((text) => formatCidr(parseCidr(text)!)),
  );
  assertEquals(new Set(CLASS_ROWS.map((row) => row.class)), new Set(CLASSES));
});

Deno.test("classify is total and agrees with the longest matching prefix", () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }) as fc.Arbitrary<IpAddress>;
  const nearARow = fc.tuple(fc.constantFrom(...CLASS_ROWS), bytes(16)).map(([{ prefix }, noise]) =>
    prefix.address.map((byte, at) => byte | (at * 8 >= prefix.bits ? noise[at]! : 0))
  );
  fc.assert(fc.property(fc.oneof(bytes(4), bytes(16), nearARow), (address) => {
    const matching = CLASS_ROWS.filter((row) => contains(row.prefix, address));
    const longest = matching.reduce((best, row) => row.prefix.bits > best.prefix.bits ? row : best);
    assertEquals(classify(address), longest.class);
  }));
});

Deno.test("the IPv4 address inside an IPv6 one is found", () => {
  const table: [address: string, inside: string | undefined][] = [
    ["::ffff:127.0.0.1", "127.0.0.1"],
    ["::ffff:0:127.0.0.1", "127.0.0.1"],
    ["::127.0.0.1", "127.0.0.1"],
    ["64:ff9b::10.0.0.1", "10.0.0.1"],
    ["2002:a9fe:a9fe::1", "169.254.169.254"],
    ["2001:0:4136:e378:8000:63bf:f5ff:fffe", "10.0.0.1"],
    ["64:ff9b:1::10.0.0.1", undefined],
    ["2606:4700::1", undefined],
    ["127.0.0.1", undefined],
  ];
  for (const [text, inside] of table) {
    const found = embeddedIpv4(parseIp(text)!);
    assertEquals(found && formatIp(found), inside, text);
  }
});
