import { assertEquals, assertThrows } from "@std/assert";
import { coinsFor, currencyOf, microsOf } from "./currency.ts";

// docs.stripe.com/currencies, "Minor units in API amounts": 10 USD is 1000, 500 JPY is 500; 5.120 KWD is 5120; 5 ISK is 500.
const rows: [string, number, bigint][] = [
  ["USD", 1000, 10_000_000n],
  ["jpy", 500, 500_000_000n],
  ["kwd", 5120, 5_120_000n],
  ["isk", 500, 5_000_000n],
  ["ugx", 500, 5_000_000n],
];
for (const [code, coins, micros] of rows) {
  Deno.test(`${coins} of ${code}'s smallest coins are what they are worth`, () => {
    const currency = currencyOf(code);
    assertEquals([microsOf(coins, currency), coinsFor(micros, currency)], [micros, coins]);
  });
}

Deno.test("an amount between two coins takes one more", () => {
  assertEquals(coinsFor(10_001n, currencyOf("usd")), 2);
  assertEquals(coinsFor(1n, currencyOf("jpy")), 1);
});

Deno.test("what is no currency is refused", () => {
  assertThrows(() => currencyOf("dollars"), RangeError, "must be three letters");
});
