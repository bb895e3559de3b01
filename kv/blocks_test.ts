import { testStore } from "./fixtures/contract.ts";
import { blockCases } from "./fixtures/blocks_contract.ts";
import { createKvBlocks, createMemoryBlocks } from "./blocks.ts";

testStore("blocks", {
  memory: () => createMemoryBlocks(),
  kv: (kv, clock) => createKvBlocks(kv, clock, { space: "test" }),
}, blockCases);
