import { assertEquals } from "@std/assert";
import { type Column, spanText, tableLines } from "./table.ts";

interface Row {
  readonly id: string;
  readonly count: number;
  readonly note: string;
}

const columns: readonly Column<Row>[] = [
  { title: "id", cell: ({ id }) => id },
  { title: "count", cell: ({ count }) => String(count), align: "right" },
  { title: "note", cell: ({ note }) => note, canBeCut: true },
];

Deno.test("columns are as wide as what is in them", () => {
  assertEquals(tableLines(columns, [{ id: "one", count: 7, note: "" }, { id: "three", count: 12, note: "yes" }]), [
    "ID     COUNT  NOTE",
    "one        7",
    "three     12  yes",
  ]);
});

Deno.test("what does not fit into 80 columns is cut where it may be, and a cell is one line whatever is in it", () => {
  const [, long, hostile] = tableLines(columns, [
    { id: "x".repeat(40), count: 1, note: "n".repeat(60) },
    { id: "y", count: 2, note: "a\nb\x1b[2J" },
  ]);
  assertEquals(long, `${"x".repeat(40)}      1  ${"n".repeat(30)}…`);
  assertEquals(hostile, `y${" ".repeat(45)}2  a\\nb\\u001b[2J`);
});

Deno.test("a table may have more lines than a function takes arguments", () => {
  assertEquals(tableLines(columns, Array<Row>(200_000).fill({ id: "one", count: 7, note: "" })).length, 200_001);
});

const spans: [ms: number, text: string][] = [
  [-5, "0ms"],
  [0, "0ms"],
  [999.4, "999ms"],
  [1000, "1s"],
  [59_999, "59s"],
  [62_000, "1m2s"],
  [60_000, "1m"],
  [600_000, "10m"],
  [3_600_000 + 5 * 60_000, "1h5m"],
  [13 * 86_400_000, "13d"],
];
Deno.test("spans are told in one or two units", () => {
  for (const [ms, text] of spans) assertEquals(spanText(ms), text);
});
