import { assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "fast-check";
import { lowest, trustOf } from "./attestation.ts";
import { deviceInfoSchema } from "./records.ts";

const phone = {
  kind: "android" as const,
  agent: "culvert 1.0",
  model: "Pixel 9",
  os: "Android 16",
  battery: { percent: 71, isCharging: false },
};
const at = { nodeId: "n", address: "192.0.2.1" };

const cases = [
  { name: "a phone at home", info: phone, isHosting: false, factor: 1 },
  { name: "a phone of which nothing is known", info: phone, isHosting: undefined, factor: 1 },
  {
    name: "a server in a datacentre that says so",
    info: { kind: "linux" as const, agent: "culvert 1.0" },
    isHosting: true,
    factor: 1,
  },
  { name: "a phone in a datacentre", info: phone, isHosting: true, factor: 0.5 },
  { name: "an emulator", info: { ...phone, model: "sdk_gphone64_x86_64" }, isHosting: false, factor: 0.2 },
  { name: "an emulator by its system", info: { ...phone, os: "Android 14 (ranchu)" }, isHosting: false, factor: 0.2 },
  {
    name: "a phone whose name has an emulator's in it",
    info: { ...phone, model: "Nokia Memuriel" },
    isHosting: false,
    factor: 1,
  },
  { name: "a phone without a battery", info: { ...phone, battery: undefined }, isHosting: false, factor: 0.7 },
  { name: "a phone with 64 cores", info: { ...phone, cores: 64 }, isHosting: false, factor: 0.8 },
];
for (const { name, info, isHosting, factor } of cases) {
  Deno.test(`the claims of ${name} are worth ${factor}`, () => {
    const claims = { ...at, info: deviceInfoSchema.parse(info), isHosting };
    const trust = trustOf(claims);
    assertAlmostEquals(trust.factor, factor, 1e-9);
    assertEquals(trust.reasons.length, factor === 1 ? 0 : 1);
  });
}

Deno.test("a hook lowers trust and never raises it, whatever it says", () => {
  const own = { factor: 0.5, reasons: ["a"] };
  fc.assert(fc.property(fc.double({ noNaN: true }), (factor) => {
    const both = lowest(own, { factor, reasons: ["b"] }).factor;
    return both >= 0 && both <= own.factor;
  }));
  assertEquals(lowest(own, undefined), own);
});
