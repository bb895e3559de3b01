import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { anyNumber, anyText } from "./fixtures/hostile.ts";
import { MAX_NAME, plainCount, plainNumber, plainShare, plainText } from "./plain.ts";

for (
  const [given, shown] of [
    ["exit-1", "exit-1"],
    ["Zürich 東京", "Zürich 東京"],
    ["a\nb\r\n\tc", "a b c"],
    ["\u202egnp.exe", "gnp.exe"],
    ["\uFEFFx\u200B", "x"],
    ["<b>bold</b>", "<b>bold</b>"],
    ["x".repeat(65), `${"x".repeat(63)}…`],
    [`${"x".repeat(62)}🦊🦊`, `${"x".repeat(62)}…`],
    ["\u0000", ""],
  ] as const
) {
  Deno.test(`${JSON.stringify(given.slice(0, 20))} is shown as ${JSON.stringify(shown.slice(0, 20))}`, () => {
    assertEquals(plainText(given), shown);
  });
}

Deno.test("whatever is said is one short line of whole characters that can be seen, and stays as it is", () => {
  fc.assert(fc.property(anyText(), (text) => {
    const shown = plainText(text);
    assert(shown.length <= MAX_NAME && shown.isWellFormed() && !/[\p{C}\p{Zl}\p{Zp}]/u.test(shown), shown);
    assertEquals(plainText(shown), shown);
  }));
});

Deno.test("a number is within what can be, or unknown", () => {
  fc.assert(fc.property(anyNumber(), (value) => {
    for (const plain of [plainNumber(value, 100), plainCount(value), plainShare(value)]) {
      assert(plain === undefined || (plain >= 0 && plain <= 1e9));
    }
    assert(Number.isInteger(plainCount(value) ?? 0) && (plainShare(value) ?? 0) <= 1);
  }));
});
