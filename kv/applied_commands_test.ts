import { createKvApplied, createMemoryApplied } from "./applied_commands.ts";
import { appliedCases } from "./fixtures/applied_contract.ts";
import { testStore } from "./fixtures/contract.ts";

testStore("applied commands", {
  memory: () => createMemoryApplied(),
  kv: (kv, clock) => createKvApplied(kv, clock, { space: "test" }),
}, appliedCases);
