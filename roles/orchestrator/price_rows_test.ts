import { assertEquals } from "@std/assert";
import { PriceList } from "../../protocol/sharing/prices.ts";
import { priceRows } from "./price_rows.ts";

const prices = new PriceList({
  feeBasisPoints: 2000,
  rules: [
    { perGib: "2.00" },
    { region: "eu-west", tier: "standard", perGib: "9.50" },
    { tier: "gold", perGib: "0.50", feeBasisPoints: 1000 },
  ],
});

Deno.test("clients read the price that is charged in every region there is, and in every tier", () => {
  const rows = priceRows(prices, ["world", "eu-north"]);
  assertEquals(rows.map(({ region, tier, microsPerGib }) => [region, tier, microsPerGib]), [
    ["eu-west", "standard", 9_500_000n],
    ["eu-west", "gold", 500_000n],
    ["world", "standard", 2_000_000n],
    ["world", "gold", 500_000n],
    ["eu-north", "standard", 2_000_000n],
    ["eu-north", "gold", 500_000n],
  ]);
  for (const { region, tier, microsPerGib } of rows) {
    assertEquals(prices.price(region, tier)?.microsPerGib, microsPerGib);
  }
});

Deno.test("where nothing is sold there is no price", () => {
  const only = new PriceList({ feeBasisPoints: 0, rules: [{ region: "eu", perGib: "1" }] });
  assertEquals(priceRows(only, ["us"]).map(({ region }) => region), ["eu"]);
});
