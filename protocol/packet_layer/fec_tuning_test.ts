import { assertEquals } from "@std/assert";
import { FecTuning } from "./fec_tuning.ts";

/** What is learnt from runs of data and parity in turn, from that number on, but for those that are lost. */
function learnt(runs: readonly number[], { first = 0, lost = [] as readonly number[] } = {}) {
  const tuning = new FecTuning();
  let number = first;
  for (const [index, length] of runs.entries()) {
    for (let at = 0; at < length; at++, number++) if (!lost.includes(number)) tuning.see(number, index % 2 === 0);
  }
  return tuning.shards;
}

const cases = [
  { name: "whole runs", runs: [3, 2, 3, 2], shards: { dataShards: 3, parityShards: 2 } },
  { name: "the first run alone, whose beginning was not seen", runs: [3, 2], shards: undefined },
  { name: "a run of data with a gap", runs: [3, 2, 3, 2], lost: [6], shards: undefined },
  { name: "a run of parity whose last is lost", runs: [1, 2, 3, 2, 3], lost: [7], shards: undefined },
  { name: "runs that do not begin at a multiple of a group", runs: [3, 2, 3, 2], first: 1, shards: undefined },
  { name: "more shards than there is a code for", runs: [31, 2, 31, 2], shards: undefined },
] as const;
for (const { name, runs, shards, ...rest } of cases) {
  Deno.test(`shards learnt from ${name}: ${JSON.stringify(shards)}`, () => {
    assertEquals(learnt([...runs, 1], rest), shards);
  });
}
