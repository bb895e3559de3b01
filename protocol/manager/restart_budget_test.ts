import { assertEquals } from "@std/assert";
import { RestartBudget } from "./restart_budget.ts";

const settings = { maxRestarts: 5, restartWindowMs: 300_000, backoffBaseMs: 5_000, backoffMaxMs: 60_000 };

Deno.test("each restart doubles the next wait, up to the longest, until there are no more", () => {
  const budget = new RestartBudget(settings);
  const waits = [];
  for (let n = 0; n < 6; n++, budget.spend()) waits.push(budget.waitMs);
  assertEquals(waits, [5_000, 10_000, 20_000, 40_000, 60_000, undefined]);
});

Deno.test("a restart counts until the service has run for the window", () => {
  const budget = new RestartBudget(settings);
  budget.spend();
  budget.ran(100_000);
  budget.spend();
  budget.ran(199_999);
  assertEquals([budget.used, budget.waitMs], [2, 20_000]);
  budget.ran(1);
  assertEquals([budget.used, budget.waitMs], [1, 10_000]);
  budget.ran(100_000);
  assertEquals([budget.used, budget.waitMs], [0, 5_000]);
});

Deno.test("new settings hold for restarts that were before", () => {
  const budget = new RestartBudget(settings);
  for (let n = 0; n < 3; n++, budget.ran(10_000)) budget.spend();
  budget.configure({ ...settings, maxRestarts: 3 });
  assertEquals(budget.waitMs, undefined);
  budget.configure({ ...settings, restartWindowMs: 15_000 });
  assertEquals([budget.used, budget.waitMs], [1, 10_000]);
  budget.clear();
  assertEquals(budget.waitMs, 5_000);
});

Deno.test("a wait stays a number however many restarts there were", () => {
  const budget = new RestartBudget({ ...settings, maxRestarts: 5_000, backoffBaseMs: 0 });
  for (let n = 0; n < 2_000; n++) budget.spend();
  assertEquals(budget.waitMs, 0);
});
