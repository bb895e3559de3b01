import { assertEquals, assertThrows } from "@std/assert";
import { combinationOf, type CombinationSettings } from "./combination.ts";
import { ConfigError } from "./config.ts";

const usual: CombinationSettings = { combine: "failover", weight: [], sticky: false };
const two = { flag: "--path", count: 2, action: "start proxy" };

Deno.test("what is said goes to those who combine", () => {
  assertEquals(combinationOf(usual, { ...two, count: 1 }), { how: "failover", weights: [], sticky: false });
  assertEquals(
    combinationOf({ combine: "split", weight: [9, 1], sticky: true }, two),
    { how: "split", weights: [9, 1], sticky: true },
  );
  assertEquals(combinationOf({ ...usual, combine: "balance", weight: [2, 1] }, two).weights, [2, 1]);
});

Deno.test("what makes no sense is refused, each with its rule", () => {
  const wrong: [Partial<CombinationSettings>, number, string][] = [
    [{ combine: "split" }, 1, "--combine split must have two of --path to compare, got 1"],
    [{ combine: "split", weight: [1] }, 2, "--weight must be given once for each --path, got 1 for 2"],
    [{ combine: "race", weight: [1, 2] }, 2, "--weight is of use with --combine balance or split, got race"],
    [{ combine: "balance", sticky: true }, 2, "--sticky is of use with --combine split, got balance"],
  ];
  for (const [settings, count, rule] of wrong) {
    assertThrows(() => combinationOf({ ...usual, ...settings }, { ...two, count }), ConfigError, rule);
  }
});
