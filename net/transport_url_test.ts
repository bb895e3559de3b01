import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { CulvertError } from "../protocol/errors.ts";
import { TransportUrl } from "./transport_url.ts";

const read = (text: string) => new TransportUrl(text, "kcp");

Deno.test("a transport's URL says key, host, ports and settings", () => {
  const url = read("kcp+raw://a%40b@[2001:db8::1]:45000-45007/?dialect=paqet&links=3&nocomp=1");
  assertEquals([url.scheme, url.key, url.host], ["kcp+raw", "a@b", "2001:db8::1"]);
  assertEquals(url.ports, { first: 45000, count: 8 });
  assertEquals(url.settings.choice("dialect", ["culvert", "paqet"], "culvert"), "paqet");
  assertEquals(url.settings.number("links", { least: 1, most: 8, usual: 1 }), 3);
  assertEquals(url.settings.number("mtu", { least: 50, most: 1500, usual: 1350 }), 1350);
  assertEquals([url.settings.flag("nocomp"), url.settings.flag("other")], [true, false]);
  url.settings.done();
  const bare = read("vtcp://server.example:443");
  assertEquals([bare.key, bare.host, bare.ports], [undefined, "server.example", { first: 443, count: 1 }]);
});

Deno.test("a name and a password are told apart before they are decoded", () => {
  assertEquals(read("socks5://a%3Ab:c%3Ad:e%40@host:1").login, { user: "a:b", password: "c:d:e@" });
  assertEquals(read("socks5://host:1").login, undefined);
  for (const key of ["name", "name%3Apassword", ":password", "name:"]) {
    assertThrows(() => read(`socks5://${key}@host:1`).login, CulvertError, "name:password");
  }
});

Deno.test("what is wrong with a transport's URL is told, and its key is not", () => {
  const rows: [string, string][] = [
    ["kcp+udp://secret@host", "must look like"],
    ["kcp+udp://secret@host:1:2/", "must look like"],
    ["kcp+udp://secret@host:9-3/", "must have a port"],
    ["kcp+udp://secret@host:0/", "must have a port"],
    ["kcp+udp://secret@host:70000/", "must have a port"],
    ["kcp+udp://secret%@host:1/", "percent-decoded"],
    ["kcp+udp://secret@host:1/?a=1&a=2", "once"],
    ["kcp+udp://secret@host:1/path", "must look like"],
    [`kcp+udp://secret@${"h".repeat(5000)}:1/`, "must look like"],
  ];
  for (const [text, rule] of rows) {
    const error = assertThrows(() => read(text), CulvertError, rule);
    assertEquals(error.message.includes("secret"), false, text);
  }
  const url = read("kcp+udp://secret@host:1/?links=0&dialect=x&more=1");
  assertThrows(() => url.settings.number("links", { least: 1, most: 8, usual: 1 }), CulvertError, "between 1 and 8");
  assertThrows(() => url.settings.choice("dialect", ["a", "b"], "a"), CulvertError, 'a or b, got "x"');
  assertThrows(() => url.settings.done(), CulvertError, 'may say links, dialect after the "?", got "more"');
});

Deno.test("any text is a URL or an error", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
    try {
      read(text);
    } catch (error) {
      if (!(error instanceof CulvertError)) throw error;
    }
  }));
});
