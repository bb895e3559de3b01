import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { parseHost } from "./host.ts";
import { formatIp } from "./ip.ts";

function read(text: string): string | undefined {
  const host = parseHost(text);
  return typeof host === "object" ? `address ${formatIp(host)}` : host;
}

Deno.test("every spelling of an address is an address", () => {
  for (
    const text of [
      "127.0.0.1",
      "127.0.0.1.",
      "127.1",
      "127.0.1",
      "127.1.",
      "2130706433",
      "2130706433.",
      "017700000001",
      "0177.0.0.1",
      "0177.1",
      "0x7f.1",
      "0X7F.0.0.1",
      "0x7f000001",
      "0x7F.0.0x1",
      "127.0.0.0x1",
      "127.0.0.01",
      "00177.0.0.1",
      "0x000000000000007f.1",
    ]
  ) assertEquals(read(text), "address 127.0.0.1", text);
  assertEquals(read("0"), "address 0.0.0.0");
  assertEquals(read("0x"), "address 0.0.0.0");
  assertEquals(read("4294967295"), "address 255.255.255.255");
  assertEquals(read("1.65535"), "address 1.0.255.255");
  assertEquals(read("::1"), "address ::1");
  assertEquals(read("[::1]"), "address ::1");
  assertEquals(read("[::ffff:7f00:1]"), "address ::ffff:127.0.0.1");
});

Deno.test("what looks like an address and is none is refused, not taken for a name", () => {
  for (
    const text of [
      "4294967296",
      "256.0.0.1",
      "127.0.0.256",
      "1.2.3.4.5",
      "127.0.0.08",
      "0x7g.0.0.1",
      "foo.1",
      "example.0x1f",
      "1..2",
      ".1",
      "127.0.0.1..",
      "0x100000000",
      "fe80::1%eth0",
      "[fe80::1%25eth0]",
      "[127.0.0.1]",
      "[::1",
      "::1]",
      "99999999999999999999999999999999999",
      "-1.0x1",
    ]
  ) assertEquals(read(text), undefined, text);
});

Deno.test("names are lower case, ASCII and within DNS's lengths", () => {
  assertEquals(read("Example.COM."), "example.com");
  assertEquals(read("localhost"), "localhost");
  assertEquals(read("_dmarc.xn--bcher-kva.example"), "_dmarc.xn--bcher-kva.example");
  assertEquals(read("0x7f.example"), "0x7f.example");
  assertEquals(read("1.example"), "1.example");
  assertEquals(read(`${"a".repeat(63)}.example`), `${"a".repeat(63)}.example`);
  const longest = `${"a".repeat(61)}.${Array(3).fill("b".repeat(63)).join(".")}`;
  assertEquals(read(longest)?.length, 253);
  for (
    const text of [
      "",
      ".",
      "..",
      "a..b",
      ".a",
      "a b",
      "a\n",
      "a\0.example",
      "a/b",
      "user@host",
      "bücher.example",
      "\u212aulvert.example", // the kelvin sign, whose lower case is a plain k
      "１２７.0.0.1",
      "127。0。0。1",
      "%31%32%37.0.0.1",
      `${"a".repeat(64)}.example`,
      `${longest}b`,
      "a".repeat(100_000),
    ]
  ) assertEquals(read(text), undefined, text.slice(0, 80));
});

Deno.test("wherever the URL parser sees an IPv4 address, the same address is seen here", () => {
  const number = fc.oneof(fc.nat(300), fc.nat(0xffffffff)).chain((value) =>
    fc.constantFrom(`${value}`, `0${value.toString(8)}`, `0x${value.toString(16)}`)
  );
  const spelling = fc.tuple(fc.array(number, { minLength: 1, maxLength: 5 }), fc.constantFrom("", "."))
    .map(([parts, dot]) => parts.join(".") + dot);
  fc.assert(fc.property(spelling, (text) => {
    const url = URL.canParse(`http://${text}/`) ? new URL(`http://${text}/`).hostname : undefined;
    assertEquals(read(text), url && `address ${url}`);
  }));
});

Deno.test("any text is an address, a name or nothing, and never an error", () => {
  const tricky = fc.string({ unit: fc.constantFrom(..."0123456789abcfxX.:[]%-_ é"), maxLength: 300 });
  fc.assert(fc.property(fc.oneof(fc.string(), tricky), (text) => {
    const host = parseHost(text);
    if (typeof host !== "string") return;
    assertEquals(parseHost(host), host);
    if (!URL.canParse(`http://${host}/`)) return; // broken punycode
    const { hostname } = new URL(`http://${host}/`);
    assert(!/^[\d.]+$/.test(hostname), `${text} became ${hostname}`);
  }));
});
