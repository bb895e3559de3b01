/**
 * Small simulations, each of other two hours in which much goes wrong. `deno task sim` runs larger ones.
 */

import { assertEquals } from "@std/assert";
import { formatReport, reportOf } from "./report.ts";
import { quickSettings } from "./settings.ts";
import { Simulation } from "./simulation.ts";

const small = { ...quickSettings, peers: 80, supernodes: 6, hours: 2 };

for (const seed of [1, 2, 3]) {
  Deno.test(`what must always hold does, whatever comes and goes and fails (seed ${seed})`, async () => {
    const simulation = new Simulation({ ...small, seed });
    await simulation.run();
    assertEquals(simulation.breach, undefined, formatReport(reportOf(simulation, 0)));
  });
}

Deno.test("the same seed is the same simulation", async () => {
  const [first, second] = await Promise.all([1, 2].map(async () => {
    const simulation = new Simulation({ ...small, peers: 20, hours: 0.25, seed: 7 });
    await simulation.run();
    return reportOf(simulation, 0);
  }));
  assertEquals(first, second);
});
