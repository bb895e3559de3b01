import { assertEquals } from "@std/assert";
import { Tags } from "./tags.ts";

function slotsOf(tags: Tags, filter: Parameters<Tags["matching"]>[0]): number[] {
  return [...tags.matching(filter)].flatMap(({ slots }) => [...slots]).sort((a, b) => a - b);
}

Deno.test("slots are found by their region and capabilities, as they are now", () => {
  const tags = new Tags();
  tags.set(0, { region: "eu", capabilities: ["files", "relay"] });
  tags.set(1, { region: "eu", capabilities: ["relay", "files"] });
  tags.set(2, { region: undefined, capabilities: ["files"] });
  assertEquals(slotsOf(tags, { capability: "files" }), [0, 1, 2]);
  assertEquals(slotsOf(tags, { capability: "relay", region: "eu" }), [0, 1]);
  assertEquals(slotsOf(tags, { region: "us" }), []);
  assertEquals(tags.matching({ region: "eu" }).size, 1, "the order in which capabilities are named is no matter");
  tags.set(0, { region: "us", capabilities: [] });
  tags.delete(1);
  assertEquals([slotsOf(tags, { region: "eu" }), slotsOf(tags, { region: "us" })], [[], [0]]);
  assertEquals(tags.matching({}).size, 2, "what nobody has is forgotten");
});

Deno.test("when there are too many kinds, who would be one more has none", () => {
  const tags = new Tags(2);
  for (const slot of [0, 1, 2, 3]) tags.set(slot, { region: "eu", capabilities: [`made-up-${slot >> 1}`] });
  tags.set(4, { region: "eu", capabilities: ["made-up-2"] });
  assertEquals(slotsOf(tags, {}), [0, 1, 2, 3]);
  assertEquals(tags.of(4), undefined);
  for (const slot of [0, 1, 4]) tags.delete(slot);
  tags.set(4, { region: "eu", capabilities: ["made-up-2"] });
  assertEquals(slotsOf(tags, { capability: "made-up-2" }), [4]);
});
