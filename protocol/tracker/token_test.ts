import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { portablePrimitives } from "../primitives.ts";
import { idOf } from "./fixtures/entries.ts";
import { makeToken, MARK_BYTES, markOf, peerOfToken } from "./token.ts";

Deno.test("a token says whose it is, and no two are the same", () => {
  const random = new SeededRandom(1);
  const [one, other] = [makeToken(idOf(1), random), makeToken(idOf(1), random)];
  assertEquals([peerOfToken(one), peerOfToken(other)], [idOf(1), idOf(1)]);
  const marks = [one, other].map((token) => markOf(token, portablePrimitives));
  assert(marks[0]!.length === MARK_BYTES && marks[0]!.some((byte, at) => byte !== marks[1]![at]));
});

Deno.test("any text is a token or is none", () => {
  const token = makeToken(idOf(1), new SeededRandom(2));
  fc.assert(fc.property(fc.oneof(fc.string(), fc.nat(token.length).map((at) => token.slice(0, at))), (text) => {
    assertEquals(peerOfToken(text), text === token ? idOf(1) : undefined);
  }));
});
