import { assert, assertEquals } from "@std/assert";
import { stickySide } from "./sticky.ts";

const HOSTS = Array.from({ length: 4000 }, (_, at) => `host-${at}.example`);
const SIDES = [{ name: "a", weight: 3 }, { name: "b", weight: 1 }];

Deno.test("a key has one side, and sides have keys by their weights", () => {
  const sides = HOSTS.map((host) => stickySide(host, SIDES));
  assertEquals(HOSTS.map((host) => stickySide(host, SIDES)), sides);
  const toFirst = sides.filter((side) => side === 0).length;
  assert(toFirst > 2900 && toFirst < 3100, `${toFirst} of 4000`);
});

Deno.test("where a side comes in, only the keys that it gets move", () => {
  for (const host of HOSTS) {
    const after = stickySide(host, [...SIDES, { name: "c", weight: 2 }]);
    assert(after === 2 || after === stickySide(host, SIDES), host);
  }
});

Deno.test("the order in which sides are named changes nothing", () => {
  for (const host of HOSTS.slice(0, 100)) {
    assertEquals(SIDES[stickySide(host, SIDES)], SIDES.toReversed()[stickySide(host, SIDES.toReversed())]);
  }
});
