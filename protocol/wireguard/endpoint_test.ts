import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { assertDecoderSurvives } from "../../testing/fuzz.ts";
import { formatEndpoint, parseEndpoint, splitHostAndPort } from "./endpoint.ts";

const scopeOf = (name: string) => name === "eth0" ? 2 : undefined;

const texts: [text: string, written: string | undefined][] = [
  ["192.0.2.1:51820", "192.0.2.1:51820"],
  ["[2001:DB8:0::1]:1", "[2001:db8::1]:1"],
  ["[::ffff:192.0.2.1]:65535", "[::ffff:192.0.2.1]:65535"],
  ["[fe80::1%2]:51820", "[fe80::1%2]:51820"],
  ["[fe80::1%eth0]:51820", "[fe80::1%2]:51820"],
  ["[fe80::1%0]:51820", "[fe80::1]:51820"],
  ["[fe80::1%eth1]:51820", undefined],
  ["[fe80::1%]:51820", undefined],
  ["[fe80::1%99999999999]:51820", undefined],
  ["[192.0.2.1]:51820", "192.0.2.1:51820"],
  ["2001:db8::1:51820", undefined],
  ["192.0.2.1:0", undefined],
  ["192.0.2.1:65536", undefined],
  ["192.0.2.1", undefined],
  ["192.0.2.1:", undefined],
  ["192.0.2.1: 1", undefined],
  ["192.0.2.1%2:1", undefined],
  ["example.com:51820", undefined],
  ["", undefined],
];

for (const [text, written] of texts) {
  Deno.test(`the endpoint "${text}" is ${written === undefined ? "refused" : `written ${written}`}`, () => {
    const endpoint = parseEndpoint(text, scopeOf);
    assertEquals(endpoint && formatEndpoint(endpoint), written);
  });
}

Deno.test("an endpoint survives its text", () => {
  const address = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
  ).map((bytes) => bytes.slice());
  fc.assert(fc.property(address, fc.integer({ min: 1, max: 65535 }), fc.nat(0xffffffff), (address, port, scopeId) => {
    const endpoint = address.length === 16 && scopeId > 0 ? { address, port, scopeId } : { address, port };
    assertEquals(parseEndpoint(formatEndpoint(endpoint)), endpoint);
  }));
});

Deno.test("a host's name is split from its port, a zone stays with its address", () => {
  assertEquals(splitHostAndPort("vpn.example.com:51820"), { host: "vpn.example.com", port: 51820 });
  assertEquals(splitHostAndPort("[fe80::1%eth0]:51820"), { host: "fe80::1%eth0", port: 51820 });
});

Deno.test("any text at all is read or refused", () => {
  assertDecoderSurvives((bytes) => parseEndpoint(new TextDecoder("latin1").decode(bytes), scopeOf), {
    valid: fc.constantFrom("192.0.2.1:51820", "[fe80::1%eth0]:51820").map((text) => new TextEncoder().encode(text)),
  });
});
