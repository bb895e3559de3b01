import { assert, assertEquals, assertLessOrEqual, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import type { FetchStart } from "../../net/transfers/fetch_file.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { Progress, type Status, statusLine } from "./progress.ts";

const STATUS: Status = {
  path: "films/holiday.mkv",
  size: 4 * 1024 ** 3,
  doneBytes: 1024 ** 3,
  files: 1,
  fetchedBytes: 1024 ** 3,
  bytesPerSecond: 100 * 1024 ** 2,
  remainingMs: 30_720,
  sources: [{ peerId: "a", way: "direct", bytes: 5, dropped: undefined }],
};

Deno.test("a line says what, how far, how fast, how long and from where", () => {
  assertEquals(
    statusLine(STATUS, 79),
    "holiday.mkv [█████░░░░░░░░░░░░░░░]  25%  4.0 GiB  100.0 MiB/s  30s left  direct",
  );
  const many = {
    ...STATUS,
    sources: [...STATUS.sources, { peerId: "b", way: "relayed", bytes: 1, dropped: undefined } as const],
  };
  assertStringIncludes(statusLine(many, 100), "2 sources, 1 direct");
  assertEquals(
    statusLine({ ...STATUS, bytesPerSecond: 0, remainingMs: undefined, sources: [] }, 30),
    "holiday.mkv  25%  4.0 GiB",
  );
});

Deno.test("a line is never longer than there is room, and holds nothing that moves the cursor", () => {
  const name = fc.string({ unit: "binary", minLength: 1 });
  fc.assert(
    fc.property(
      name,
      fc.nat(2 ** 31),
      fc.nat(2 ** 31),
      fc.integer({ min: 10, max: 200 }),
      (path, size, done, columns) => {
        const line = statusLine({ ...STATUS, path, size, doneBytes: Math.min(size, done), files: 3 }, columns);
        assertLessOrEqual(line.length, columns);
        assert(!["\n", "\r", "\x1b"].some((control) => line.includes(control)));
      },
    ),
  );
});

function start(size: number): FetchStart {
  return { path: "f", size, keptBytes: 0, isVerified: true, download: undefined };
}

/** What is said on a screen, to people, and to programs. */
function recorded(options: { isTerminal: boolean; json: boolean }) {
  const clock = new FakeClock();
  const [drawn, told, printed] = [[] as string[], [] as string[], [] as string[]];
  const context = {
    ...{ clock, json: options.json },
    print: (line: string) => void printed.push(line),
    tell: (line: string) => void told.push(line),
  };
  const screen = { isTerminal: options.isTerminal, columns: 80, write: (text: string) => void drawn.push(text) };
  return { clock, drawn, told, printed, progress: new Progress(context, screen) };
}

Deno.test("on a terminal a bar is drawn over itself, and cleared before anything is said and at the end", () => {
  const { clock, drawn, told, progress } = recorded({ isTerminal: true, json: false });
  progress.listeners.onStart(start(100));
  progress.listeners.onBytes("a", 50);
  clock.advance(400);
  assertEquals(drawn.length, 2);
  assert(drawn.every((text) => text.startsWith("\rf [") && text.endsWith("\x1b[K")));
  progress.say("some\nthing");
  assertEquals([drawn.at(-1), told], ["\r\x1b[K", ["some\\nthing"]]);
  clock.advance(200);
  progress[Symbol.dispose]();
  assertEquals([drawn.at(-1), clock.pendingTimers], ["\r\x1b[K", 0]);
});

Deno.test("elsewhere there is a line now and then, and with --json there are events", () => {
  const plain = recorded({ isTerminal: false, json: false });
  plain.progress.listeners.onStart(start(100));
  plain.clock.advance(10_000);
  plain.progress[Symbol.dispose]();
  assertEquals([plain.told.length, plain.drawn, plain.printed], [2, [], []]);

  const json = recorded({ isTerminal: true, json: true });
  json.progress.listeners.onStart(start(100));
  json.progress.listeners.onBytes("a", 100);
  json.clock.advance(1000);
  json.progress.say("nothing for programs");
  json.progress.event("done", { out: "f" });
  json.progress[Symbol.dispose]();
  const events = json.printed.map((line) => JSON.parse(line));
  assertEquals(events.map(({ event }) => event), ["start", "progress", "done"]);
  assertEquals([events[1].doneBytes, events[1].bytesPerSecond, json.told, json.drawn], [100, 100, [], []]);
});
