import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { chargeOf, feeOf, MAX_MICROS_PER_GIB, PriceList, priceListSchema } from "./prices.ts";

const GIB = 2 ** 30;

Deno.test("a charge is the bytes' share of a GiB, rounded down", () => {
  const rows: [string, number, bigint, bigint][] = [
    ["a GiB at 2.50", GIB, 2_500_000n, 2_500_000n],
    ["half a GiB", GIB / 2, 2_500_000n, 1_250_000n],
    ["one byte", 1, 2_500_000n, 0n],
    ["the first byte that costs a micro", 430, 2_500_000n, 1n],
    ["the byte before it", 429, 2_500_000n, 0n],
    ["for nothing", GIB, 0n, 0n],
    ["a PiB at the highest price", 2 ** 50, MAX_MICROS_PER_GIB, MAX_MICROS_PER_GIB << 20n],
  ];
  for (const [name, bytes, microsPerGib, charge] of rows) {
    assertEquals(chargeOf(bytes, { microsPerGib, feeBasisPoints: 0 }), charge, name);
  }
});

Deno.test("a fee is rounded down, so the operator has at least the share that was promised", () => {
  assertEquals(feeOf(999n, { microsPerGib: 1n, feeBasisPoints: 2000 }), 199n);
  assertEquals(feeOf(1000n, { microsPerGib: 1n, feeBasisPoints: 10_000 }), 1000n);
  assertEquals(feeOf(1000n, { microsPerGib: 1n, feeBasisPoints: 0 }), 0n);
});

Deno.test("charging in steps comes to what charging at once does", () => {
  const price = fc.record({ microsPerGib: fc.bigInt(0n, MAX_MICROS_PER_GIB), feeBasisPoints: fc.nat(10_000) });
  fc.assert(fc.property(price, fc.array(fc.nat(2 ** 31), { maxLength: 50 }), (price, steps) => {
    let bytes = 0;
    let charged = 0n;
    let kept = 0n;
    for (const step of steps) {
      bytes += step;
      const charge = chargeOf(bytes, price);
      const fee = feeOf(charge, price);
      assert(charge >= charged && fee >= kept && charge - fee >= charged - kept, "a step gives nothing back");
      charged = charge;
      kept = fee;
    }
    assertEquals(charged, BigInt(bytes) * price.microsPerGib / BigInt(GIB));
  }));
});

Deno.test("the rule that says most about a place prices it", () => {
  const list = new PriceList(priceListSchema.parse({
    feeBasisPoints: 2000,
    rules: [
      { perGib: "3" },
      { region: "eu", perGib: "2.5" },
      { tier: "volume", perGib: "1.000001", feeBasisPoints: 1000 },
      { region: "eu", tier: "volume", perGib: "0.5" },
    ],
  }));
  assertEquals(list.price("eu", "volume"), { microsPerGib: 500_000n, feeBasisPoints: 2000 });
  assertEquals(list.price("eu", "standard"), { microsPerGib: 2_500_000n, feeBasisPoints: 2000 });
  assertEquals(list.price("us", "volume"), { microsPerGib: 1_000_001n, feeBasisPoints: 1000 });
  assertEquals(list.price("us", "standard"), { microsPerGib: 3_000_000n, feeBasisPoints: 2000 });
});

Deno.test("what no rule speaks of is not sold", () => {
  const list = new PriceList({ feeBasisPoints: 0, rules: [{ region: "eu", perGib: "1" }] });
  assertEquals(list.price("us", "standard"), undefined);
});

Deno.test("prices that cannot be right are refused", () => {
  const rows: [string, unknown][] = [
    ["a number instead of a decimal", { feeBasisPoints: 0, rules: [{ perGib: 2.5 }] }],
    ["finer than a micro", { feeBasisPoints: 0, rules: [{ perGib: "0.0000001" }] }],
    ["below nothing", { feeBasisPoints: 0, rules: [{ perGib: "-1" }] }],
    ["too high", { feeBasisPoints: 0, rules: [{ perGib: "1000.000001" }] }],
    ["a fee above all of it", { feeBasisPoints: 10_001, rules: [{ perGib: "1" }] }],
    ["a field nobody knows", { feeBasisPoints: 0, rules: [{ perGib: "1", land: "de" }] }],
    ["no rule", { feeBasisPoints: 0, rules: [] }],
  ];
  for (const [name, settings] of rows) assertEquals(priceListSchema.safeParse(settings).success, false, name);
  const twice = { feeBasisPoints: 0, rules: [{ region: "eu", perGib: "1" }, { region: "eu", perGib: "2" }] };
  assertThrows(() => new PriceList(twice), RangeError, "region eu, tier * must be priced once");
});
