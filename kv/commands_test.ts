import { createKvQueues, createMemoryQueues } from "./commands.ts";
import { queueCases } from "./fixtures/commands_contract.ts";
import { testStore } from "./fixtures/contract.ts";

testStore("command queues", {
  memory: (clock) => createMemoryQueues(clock),
  kv: (kv, clock) => createKvQueues(kv, clock, { space: "test" }),
}, queueCases);
