import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { makeKnock } from "./knock.ts";
import { Mac1Checker } from "./mac1.ts";
import { messageType } from "./messages.ts";

const key = (fill: number) => new Uint8Array(32).fill(fill);

Deno.test("a knock looks like an initiation for its receiver, and for nobody else", () => {
  const knock = makeKnock(key(1), new SeededRandom(1));
  assertEquals(messageType(new DataView(knock.buffer), 0, knock.length), 1);
  using checker = new Mac1Checker();
  assert(checker.fits(checker.keyFor(key(1)), knock, 0, knock.length));
  assert(!checker.fits(checker.keyFor(key(2)), knock, 0, knock.length));
});

Deno.test("no two knocks are alike", () => {
  const random = new SeededRandom(1);
  assertNotEquals(makeKnock(key(1), random), makeKnock(key(1), random));
});
