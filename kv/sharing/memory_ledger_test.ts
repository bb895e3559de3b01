import { FakeClock } from "../../testing/fake_clock.ts";
import { testLedger } from "./fixtures/ledger_contract.ts";
import { testCrashes } from "./fixtures/ledger_crashes.ts";
import { createMemoryLedger } from "./memory_ledger.ts";

testLedger("in memory", async (use) => {
  const clock = new FakeClock();
  const store = createMemoryLedger(clock);
  // In memory there is nothing that outlives it.
  await use({ clock, store, reopen: () => Promise.resolve(store) });
});

testCrashes("in memory", {
  runs: 200,
  async withStore(use) {
    const clock = new FakeClock();
    const store = createMemoryLedger(clock);
    // It has no awaits of its own to crash at.
    await use({ open: () => store }, clock);
  },
});
