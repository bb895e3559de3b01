import { assert, assertEquals } from "@std/assert";
import { LOG_LINES } from "./api.ts";
import { EventLog } from "./event_log.ts";

Deno.test("the newest lines are kept, each under an id of its own that only grows, also in the next program", () => {
  const log = new EventLog(1000);
  const lines = Array.from({ length: 3 * LOG_LINES }, (_, number) => {
    return { atMs: number, tone: "info", text: `line ${number}` } as const;
  });
  for (const line of lines) log.add([line]);
  log.add(lines);
  assertEquals(log.lines.length, LOG_LINES);
  assertEquals(log.lines.at(-1)!.text, `line ${3 * LOG_LINES - 1}`);
  const ids = log.lines.map(({ id }) => id);
  assertEquals(ids, ids.toSorted((one, other) => one - other));
  const next = new EventLog(60_000);
  assert(next.add([lines[0]!])[0]!.id > ids.at(-1)!);
});

Deno.test("a line is one line, of a bounded length", () => {
  const [line] = new EventLog(0).add([{ atMs: 0, tone: "bad", text: `first\nsecond${"x".repeat(1000)}` }]);
  assert(line!.text.startsWith("first second") && line!.text.length === 300);
});
