import { assert, assertEquals, assertThrows } from "@std/assert";
import { alternate, median } from "./rounds.ts";
import { type Measurement, outcomeOf, type Subject } from "./subject.ts";
import { formatOutcome } from "./table.ts";

const measurement: Measurement = {
  ours: 17.123456,
  peers: { microsocks: 3.3, "ssh -D": 9.1 },
  figures: { connections_per_s: 12345.678, idle_kib_per_connection: 17.04321 },
  missing: ["dante"],
};
const subject: Subject = {
  name: "proxy",
  summary: "",
  unit: "Gbit/s",
  better: "higher",
  measure: () => Promise.resolve(measurement),
};

Deno.test("a ratio above 1 means that we are better, whichever way is better", () => {
  assertEquals(outcomeOf(subject, measurement, false).ratio, { microsocks: 5.189, "ssh -D": 1.882 });
  const latency = outcomeOf({ ...subject, better: "lower" }, { ...measurement, ours: 2, peers: { a: 8, b: 1 } }, true);
  assertEquals(latency.ratio, { a: 4, b: 0.5 });
});

Deno.test("the object that is printed has what the contract names", () => {
  const outcome = outcomeOf(subject, measurement, true);
  assertEquals(JSON.parse(JSON.stringify(outcome)), {
    subject: "proxy",
    unit: "Gbit/s",
    ours: 17.12,
    peers: { microsocks: 3.3, "ssh -D": 9.1 },
    ratio: { microsocks: 5.189, "ssh -D": 1.882 },
    figures: { connections_per_s: 12350, idle_kib_per_connection: 17.04 },
    missing: ["dante"],
    quick: true,
  });
});

Deno.test("the table names everybody, present or not, within 80 columns", () => {
  const long = { ...measurement, figures: { ["a_figure_with_a_long_name_".repeat(4) + "ms"]: 1, short_ms: 123456 } };
  const table = formatOutcome(outcomeOf(subject, long, true));
  assert(table.split("\n").every((line) => line.length <= 80), table);
  for (const word of ["culvert", "microsocks", "5.19×", "dante", "not installed", "123,500"]) {
    assert(table.includes(word), `${word} is not in\n${table}`);
  }
});

Deno.test("rounds alternate, every other one in reverse, and the median stands", async () => {
  const turns: string[] = [];
  const values: Record<string, number[]> = { a: [5, 1, 3], b: [10, 30, 20] };
  const medians = await alternate([{ name: "a" }, { name: "b" }], 3, ({ name }, round) => {
    turns.push(name);
    return Promise.resolve(values[name]![round]!);
  });
  assertEquals(turns, ["a", "b", "b", "a", "a", "b"]);
  assertEquals([...medians], [["a", 3], ["b", 20]]);
});

Deno.test("the median of an even count is the mean of the middle two", () => {
  assertEquals(median([4, 1, 3, 2]), 2.5);
  assertThrows(() => median([]), RangeError, "at least one value");
});
