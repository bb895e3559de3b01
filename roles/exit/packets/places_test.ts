import { assertEquals } from "@std/assert";
import { Places } from "./places.ts";

Deno.test("a client has only so many places, all have so many, and one that is given back is free again", () => {
  const places = new Places(3, 2);
  const isGiven = (client: string, isMany = false) => places.take(client, isMany) !== undefined;
  const first = places.take("a");
  assertEquals([isGiven("a"), isGiven("a"), isGiven("b"), isGiven("b")], [true, false, true, false]);
  first![Symbol.dispose]();
  assertEquals([isGiven("a"), isGiven("c")], [true, false]);
});

Deno.test("an address behind which there are many may have every place that is left", () => {
  const places = new Places(3, 1);
  const isGiven = () => places.take("many", true) !== undefined;
  assertEquals([isGiven(), isGiven(), isGiven(), isGiven()], [true, true, true, false]);
});
