import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  commonBits,
  contains,
  equalIp,
  formatCidr,
  formatIp,
  type IpAddress,
  networkOf,
  parseCidr,
  parseIp,
  parseIpv4,
  parseIpv6,
} from "./ip.ts";

const anyV4 = fc.uint8Array({ minLength: 4, maxLength: 4 }) as fc.Arbitrary<IpAddress>;
/** Zero groups and the v4-mapped prefix often enough to meet every way of writing. */
const anyV6 = fc.array(fc.oneof(fc.constant(0), fc.constant(0xffff), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
  .map((groups) => new Uint8Array(groups.flatMap((group) => [group >> 8, group & 0xff])));
const anyIp = fc.oneof(anyV4, anyV6);
const addressLike = fc.string({ unit: fc.constantFrom(..."0123456789abcfxX.:[]%/ -") });

Deno.test("IPv4 text is four plain decimal numbers and nothing else", () => {
  assertEquals(parseIpv4("192.0.2.255"), new Uint8Array([192, 0, 2, 255]));
  assertEquals(parseIpv4("0.0.0.0"), new Uint8Array(4));
  for (
    const text of [
      "",
      "1.2.3",
      "1.2.3.4.5",
      "256.0.0.1",
      "1.2.3.04",
      "01.2.3.4",
      "1.2.3.4 ",
      " 1.2.3.4",
      "1.2.3.",
      "1..2.3",
      "1.2.3.4.",
      "+1.2.3.4",
      "1e1.2.3.4",
      "0x1.2.3.4",
      "1.2.3.1000",
      "１.2.3.4",
    ]
  ) assertEquals(parseIpv4(text), undefined, text);
});

Deno.test("IPv6 text is read in every form of RFC 4291 and written in that of RFC 5952", () => {
  const table: [text: string, canonical: string][] = [
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"],
    ["2001:db8::0:1", "2001:db8::1"],
    ["2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["::ffff:192.0.2.1", "::ffff:192.0.2.1"],
    ["::ffff:c000:201", "::ffff:192.0.2.1"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
    ["1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"],
  ];
  for (const [text, canonical] of table) assertEquals(formatIp(parseIpv6(text)!), canonical, text);
  for (
    const text of [
      "",
      ":",
      ":::",
      "1",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "1:2:3:4::5:6:7:8",
      "1::2::3",
      ":1::",
      "1::2:",
      "12345::",
      "g::",
      "::1%lo",
      "[::1]",
      "::1.2.3",
      "::1.2.3.4:5",
      "1.2.3.4::",
      "::01.2.3.4",
      "::1 ",
      "1:2:3:4:5:6:7:1.2.3.4",
    ]
  ) assertEquals(parseIpv6(text), undefined, text);
});

Deno.test("reading what was written gives the same address", () => {
  fc.assert(fc.property(anyIp, (address) => assertEquals(parseIp(formatIp(address)), address)));
});

Deno.test("canonical text agrees with the URL parser", () => {
  fc.assert(fc.property(anyV6, (address) => {
    const theirs = new URL(`http://[${formatIp(address)}]/`).hostname.slice(1, -1);
    assertEquals(parseIpv6(theirs), address);
    if (!formatIp(address).includes(".")) assertEquals(formatIp(address), theirs);
  }));
});

Deno.test("parsers answer any text without throwing, and what they accept is an address", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), addressLike), (text) => {
    const address = parseIp(text);
    if (address) assertEquals(parseIp(formatIp(address)), address);
    const cidr = parseCidr(text);
    if (cidr) assertEquals(parseCidr(formatCidr(cidr)), cidr);
  }));
});

Deno.test("a network is read with its host bits cleared", () => {
  assertEquals(formatCidr(parseCidr("10.1.2.3/8")!), "10.0.0.0/8");
  assertEquals(formatCidr(parseCidr("10.1.2.3/31")!), "10.1.2.2/31");
  assertEquals(formatCidr(parseCidr("10.1.2.3")!), "10.1.2.3/32");
  assertEquals(formatCidr(parseCidr("2001:db8:ffff::1/33")!), "2001:db8:8000::/33");
  assertEquals(formatCidr(parseCidr("::1/0")!), "::/0");
  for (const text of ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/-1", "/8", "10.0.0.0/8/8"]) {
    assertEquals(parseCidr(text), undefined, text);
  }
  assertEquals(networkOf(new Uint8Array(4), 1.5), undefined);
});

Deno.test("a network holds exactly the addresses that share its prefix", () => {
  fc.assert(fc.property(anyIp, anyIp, fc.nat(128), (one, other, bits) => {
    const network = networkOf(one, bits);
    if (!network) return;
    const expected = one.length === other.length && commonBits(one, other) >= bits;
    assertEquals(contains(network, other), expected);
    assertEquals(contains(network, one), true);
  }));
});

Deno.test("addresses are equal only within a family", () => {
  assertEquals(equalIp(parseIp("1.2.3.4")!, parseIp("1.2.3.4")!), true);
  assertEquals(equalIp(parseIp("1.2.3.4")!, parseIp("1.2.3.5")!), false);
  assertEquals(equalIp(parseIp("1.2.3.4")!, parseIp("::ffff:1.2.3.4")!), false);
});
