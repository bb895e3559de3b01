import { assertEquals, assertThrows } from "@std/assert";
import { CulvertError } from "../protocol/errors.ts";
import { readWords } from "./task.ts";

const flags = { booleans: ["dry-run"], strings: ["out", "target"] };

Deno.test("roles and flags stand in any order, and a flag with a value several times", () => {
  const words = readWords(["exit", "--target", "a", "--dry-run", "--target=b", "supernode"], flags);
  assertEquals(words.roles, ["exit", "supernode"]);
  assertEquals(words.valuesOf("target"), ["a", "b"]);
  assertEquals(words.valuesOf("out"), []);
  assertEquals(words.isSet("dry-run"), true);
});

Deno.test("a flag that there is none of, or that lacks its value, is refused", () => {
  const cases: Readonly<Record<string, readonly string[]>> = {
    "Cannot read the flags: each must be one of --dry-run, --out, --target, got --fast": ["--fast"],
    "Cannot read the flags: --out must have a value, got none": ["--out"],
  };
  for (const [message, args] of Object.entries(cases)) {
    assertThrows(() => readWords(args, flags), CulvertError, message);
  }
});
