import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import fc from "fast-check";
import { CulvertError } from "../errors.ts";
import { parseIp } from "../ip.ts";
import { parseDenyList } from "./deny_list.ts";
import { idOf } from "./fixtures/entries.ts";

Deno.test("a deny list names peers, addresses and networks", () => {
  const list = parseDenyList(`# liars\n${idOf(1)} # of Tuesday\r\n\n  192.0.2.7\n2001:db8::/32`);
  assertEquals([list.size, ...list.peers], [3, idOf(1)]);
  assertEquals([list.hasPeer(idOf(1)), list.hasPeer(idOf(2))], [true, false]);
  const has = (text: string) => list.hasAddress(parseIp(text)!);
  assertEquals(["192.0.2.7", "192.0.2.8", "2001:db8::9", "2001:db9::"].map(has), [true, false, true, false]);
});

for (const line of ["example.com", "192.0.2.0/33", idOf(1).slice(1), "192.0.2.7 192.0.2.8"]) {
  Deno.test(`a deny list is refused for its line "${line}"`, () => {
    const error = assertThrows(() => parseDenyList(`${idOf(2)}\n${line}`), CulvertError);
    assertEquals(error.code, "bad_deny_list");
    assertStringIncludes(error.message, "line 2 must be a peer id, an address or a network");
  });
}

Deno.test("any text is a deny list, or is refused as none", () => {
  fc.assert(fc.property(fc.string(), (text) => {
    try {
      assert(parseDenyList(text).size >= 0);
    } catch (error) {
      assert(error instanceof CulvertError && error.code === "bad_deny_list");
    }
  }));
});
