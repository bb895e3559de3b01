import { assert, assertEquals } from "@std/assert";
import { shortBits, shortBytes, statsColumns, type StatsRow } from "./stats_columns.ts";
import { styledTable } from "./styled_table.ts";
import { plainPaint, terminalPaint } from "./styles.ts";

const busy: StatsRow = {
  ...{ name: "a-service-with-a-name-of-32-chars", state: "running", uptimeMs: 86_400_000 * 9.5, cpuPercent: 123.4 },
  ...{ memoryBytes: 1_234_567_890, connections: 1234, inBitsPerS: 987_654_321, outBitsPerS: 12_345_678 },
  ...{ restarts: 12, health: "unhealthy" },
};
const idle: StatsRow = { name: "kcp", state: "stopped", restarts: 0, health: "unknown" };

Deno.test("statistics fit 80 characters, whatever they are, and each width below that", () => {
  for (let width = 80; width >= 22; width--) {
    const { head, lines } = styledTable(statsColumns, [busy, idle], { width, paint: plainPaint });
    for (const line of [head, ...lines]) assert(line.length <= width, `${width}: ${line}`);
  }
  const { head, lines } = styledTable(statsColumns, [busy, idle], { width: 80, paint: plainPaint });
  assertEquals([head, ...lines], [
    "SERVICE           STATE        UP    CPU    MEM  CONN   IN/S  OUT/S  RST  HEALTH",
    "a-service-with-…  running   9d12h   123%   1.1G  1234   988M    12M   12  bad",
    "kcp               stopped       -      -      -     -      -      -    0  -",
  ]);
});

Deno.test("what matters least is left out first", () => {
  const titles = (width: number) => styledTable(statsColumns, [idle], { width, paint: plainPaint }).head.split(/ +/);
  assertEquals(titles(80).length, 10);
  assert(!titles(56).includes("OUT/S") && titles(56).includes("MEM"));
  assertEquals(titles(22), ["SERVICE", "STATE"]);
});

Deno.test("a line that is chosen is one style to its end, others have their cells'", () => {
  const { lines } = styledTable(statsColumns, [idle, busy], {
    ...{ width: 30, paint: terminalPaint },
    styleOf: (row) => row === idle ? "chosen" : undefined,
  });
  assertEquals(lines[0], `\x1b[7m${lines[0]!.slice(4, -4)}\x1b[0m`);
  assertEquals(lines[0]!.length, 30 + 8);
  assert(lines[1]!.includes("\x1b[32mrunning\x1b[0m"));
});

Deno.test("a cell cannot move the cursor", () => {
  const columns = [{ title: "why", cell: ({ reason }: { readonly reason: string }) => reason }];
  const { lines } = styledTable(columns, [{ reason: "a\x1b[2Jb\nc" }], { width: 80, paint: plainPaint });
  assertEquals(lines, ["a\\u001b[2Jb\\nc"]);
});

Deno.test("numbers take at most five characters", () => {
  assertEquals([0, 999, 1000, 9_940_000, 9_960_000, 999_600_000, 5e12].map(shortBits), [
    ...["0", "999", "1.0k", "9.9M", "10M", "1.0G", "5.0T"],
  ]);
  assertEquals([0, 1023, 1024, 123 * 2 ** 20].map(shortBytes), ["0B", "1023B", "1.0K", "123M"]);
});
