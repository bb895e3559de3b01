import { assert, assertEquals } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import fc from "fast-check";
import { compareTimestamps, tai64n } from "./timestamp.ts";

Deno.test("timestamps are TAI64N with the low 24 bits of the nanoseconds cleared", () => {
  const rows = [
    { wallMs: 0, hex: "400000000000000a" + "00000000" },
    { wallMs: 16, hex: "400000000000000a" + "00000000" },
    { wallMs: 17, hex: "400000000000000a" + "01000000" },
    { wallMs: 999.999999, hex: "400000000000000a" + "3b000000" },
    { wallMs: 1000, hex: "400000000000000b" + "00000000" },
    { wallMs: 1_700_000_000_500, hex: "400000006553f10a" + "1d000000" },
    { wallMs: 2 ** 32 * 1000, hex: "400000010000000a" + "00000000" },
    { wallMs: -11_000, hex: "3fffffffffffffff" + "00000000" },
  ];
  for (const { wallMs, hex } of rows) assertEquals(encodeHex(tai64n(wallMs)), hex, `${wallMs}`);
});

Deno.test("a later time never has an earlier timestamp, and 17 ms later it has a later one", () => {
  const time = fc.double({ min: 0, max: 4e12, noNaN: true });
  fc.assert(fc.property(time, fc.double({ min: 0, max: 1e6, noNaN: true }), (wallMs, laterMs) => {
    const order = compareTimestamps(tai64n(wallMs + laterMs), tai64n(wallMs));
    assert(laterMs >= 17 ? order > 0 : order >= 0);
    assertEquals(Math.sign(compareTimestamps(tai64n(wallMs), tai64n(wallMs + laterMs))), -Math.sign(order) + 0);
  }));
});
