import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { CulvertError } from "../../protocol/errors.ts";
import { parseCircuitUrl } from "./circuit_url.ts";

Deno.test("a URL says which circuits are wanted", () => {
  assertEquals(parseCircuitUrl("circuit+https://base.example"), {
    base: new URL("https://base.example/"),
    hops: 2,
    gatewayId: undefined,
    circuits: 2,
    rotateMs: [60_000, 120_000],
    paddingPerSecond: 0,
  });
  const id = "a".repeat(26);
  const full = `circuit+http://[::1]:81/below/?hops=10&gateway=${id}&circuits=4&rotate=30-300&padding=5`;
  assertEquals(parseCircuitUrl(full), {
    base: new URL("http://[::1]:81/below/"),
    hops: 10,
    gatewayId: id,
    circuits: 4,
    rotateMs: [30_000, 300_000],
    paddingPerSecond: 5,
  });
  assertEquals(parseCircuitUrl("circuit+http://b/?rotate=45").rotateMs, [45_000, 45_000]);
});

Deno.test("a URL that says something else is refused in words", () => {
  const rows = [
    ["circuit+ftp://b", "must begin with"],
    ["circuit+http://", "must look like"],
    ["circuit+http://me@b", "no user"],
    ["circuit+http://b/?jump=1", 'got "jump"'],
    ["circuit+http://b/?hops=1", 'hops between 2 and 10, got "1"'],
    ["circuit+http://b/?hops=11", "hops between"],
    ["circuit+http://b/?gateway=me", "by its peer id"],
    ["circuit+http://b/?circuits=0", "circuits between"],
    ["circuit+http://b/?rotate=120-60", "seconds from 1"],
    ["circuit+http://b/?rotate=0", "seconds from 1"],
    ["circuit+http://b/?padding=1e9", "padding between"],
  ] as const;
  for (const [url, text] of rows) {
    const error = assertThrows(() => parseCircuitUrl(url), CulvertError, text, url);
    assertEquals(error.code, "bad_url");
  }
});

Deno.test("a path that looks like a host stays a path", () => {
  assertEquals(parseCircuitUrl("circuit+https://b.example//other.example/?hops=2").base.host, "b.example");
});

Deno.test("any text is read or refused", () => {
  fc.assert(fc.property(fc.string(), fc.webQueryParameters(), (text, query) => {
    for (const url of [text, `circuit+http://b/?${query}`, `circuit+https://${text}`]) {
      try {
        parseCircuitUrl(url);
      } catch (error) {
        assertEquals((error as CulvertError).code, "bad_url");
      }
    }
  }));
});
