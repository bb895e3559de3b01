import { createKvDirectory, createMemoryDirectory } from "./directory.ts";
import { testStore } from "./fixtures/contract.ts";
import { directoryCases } from "./fixtures/directory_contract.ts";

testStore("the directory", {
  memory: (clock) => createMemoryDirectory(clock),
  kv: (kv, clock) => createKvDirectory(kv, clock, { space: "test" }),
}, directoryCases);
