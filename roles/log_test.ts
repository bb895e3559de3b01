import { assert, assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import { FakeClock } from "../testing/fake_clock.ts";
import { createLog } from "./log.ts";
import { jsonFormatter, type LogFormatter, type LogLevel, textFormatter } from "./log_format.ts";
import { createLogSink } from "./log_sink.ts";

const clock = new FakeClock();

function collect(format: LogFormatter, level: LogLevel = "debug") {
  const lines: string[] = [];
  const sink = { write: (line: string) => void lines.push(line), flush: () => Promise.resolve() };
  return { lines, log: createLog({ role: "proxy", level, format, sink, wallNow: () => clock.wallNow() }) };
}

Deno.test("text lines have a time, a level, the role, the sentence and the fields", () => {
  const { lines, log } = collect(textFormatter({ colour: false }));
  log.with({ session_id: "5b7" }).info("A stream has ended", { bytes: 1024, reason: "end of file", gone: undefined });
  log.warn("No fields");
  assertMatch(
    lines[0]!,
    /^\d\d:\d\d:\d\d INFO {2}proxy {4}A stream has ended {2}session_id=5b7 bytes=1024 reason="end of file"$/,
  );
  assertMatch(lines[1]!, /^\d\d:\d\d:\d\d WARN {2}proxy {4}No fields$/);
});

Deno.test("colour is there only when asked for", () => {
  const plain = collect(textFormatter({ colour: false }));
  const coloured = collect(textFormatter({ colour: true }));
  plain.log.error("x", { a: 1 });
  coloured.log.error("x", { a: 1 });
  assert(!plain.lines[0]!.includes("\x1b"));
  // deno-lint-ignore no-control-regex -- taking the colour away again
  assertEquals(coloured.lines[0]!.replace(/\x1b\[\d+m/g, ""), plain.lines[0]!);
});

Deno.test("JSON lines carry the fields as keys of their own", () => {
  const { lines, log } = collect(jsonFormatter);
  log.info("Up", { peer_id: "abc", streams: 2, open: true, rate: NaN, gone: undefined, level: "high" });
  assertEquals(JSON.parse(lines[0]!), {
    time: "2026-01-01T00:00:00.000Z",
    level: "info",
    message: "Up",
    role: "proxy",
    peer_id: "abc",
    streams: 2,
    open: true,
    rate: "NaN",
    field_level: "high",
  });
});

Deno.test("lines below the level are not made", () => {
  const { lines, log } = collect(jsonFormatter, "warn");
  log.debug("a");
  log.info("b");
  log.warn("c");
  log.error("d");
  assertEquals(lines.map((line) => JSON.parse(line).message), ["c", "d"]);
});

Deno.test("fields named like secrets are not printed", () => {
  const secrets = [
    "key",
    "private_key",
    "apiToken",
    "password",
    "client_secret",
    "Authorization",
    "psk",
    "pre-shared-key",
  ];
  const harmless = ["monkey", "peer_id", "keyboard", "tokenizer_ms"];
  for (const format of [jsonFormatter, textFormatter({ colour: false })]) {
    const { lines, log } = collect(format);
    for (const name of [...secrets, ...harmless]) log.info("x", { [name]: "hunter2" });
    const shown = [...secrets, ...harmless].filter((_, at) => lines[at]!.includes("hunter2"));
    assertEquals(shown, harmless);
  }
});

Deno.test("hostile values cannot forge a line, hide or grow it", () => {
  const hostile = fc.string({ unit: "binary", maxLength: 2000 });
  const forged = fc.constantFrom("\n12:00:00 INFO", "\r\x1b[2K", "\u0085", "\u2028", "\u202e", '" a=b', "\ud800");
  // deno-lint-ignore no-control-regex -- looking for control characters
  const unsafe = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/;
  fc.assert(fc.property(fc.oneof(hostile, forged), (value) => {
    for (const format of [jsonFormatter, textFormatter({ colour: false })]) {
      const { lines, log } = collect(format);
      log.info(value, { host: value });
      assert(!unsafe.test(lines[0]!), JSON.stringify(lines[0]));
      assert(lines[0]!.length < 20_000);
      assert(lines[0]!.isWellFormed());
    }
  }));
  const { lines, log } = collect(jsonFormatter);
  log.info("x", { host: 'a"\n\u2028\x7f' });
  assertEquals(JSON.parse(lines[0]!).host, 'a"\n\u2028\x7f');
});

/** A writer that takes a write only when the test says so. */
class SlowWriter {
  readonly written: string[] = [];
  #release: (() => void) | undefined;

  readonly write = async (bytes: Uint8Array): Promise<number> => {
    const taken = Math.min(bytes.length, 64);
    await new Promise<void>((resolve) => this.#release = resolve);
    this.written.push(new TextDecoder().decode(bytes.subarray(0, taken)));
    return taken;
  };

  async release(): Promise<void> {
    for (let round = 0; round < 10 && !this.#release; round++) await Promise.resolve();
    this.#release?.();
    this.#release = undefined;
    for (let round = 0; round < 10; round++) await Promise.resolve();
  }

  get text(): string {
    return this.written.join("");
  }
}

Deno.test("a sink whose reader is slow drops new lines, says how many, and never waits", async () => {
  const writer = new SlowWriter();
  const lostLine = (count: number) => `lost ${count}`;
  const sink = createLogSink({ write: writer.write, clock: new FakeClock(), lostLine, maxQueued: 19 });
  sink.write("first");
  await Promise.resolve();
  for (const line of ["second", "third", "fourth", "fifth"]) sink.write(line);
  for (let round = 0; round < 4; round++) await writer.release();
  assertEquals(writer.text, "first\nsecond\nthird\nlost 2\n");
  sink.write("sixth");
  await writer.release();
  assertEquals(writer.text, "first\nsecond\nthird\nlost 2\nsixth\n");
});

Deno.test("a sink finishes writes that were taken in part", async () => {
  const writer = new SlowWriter();
  const sink = createLogSink({ write: writer.write, clock: new FakeClock(), lostLine: String });
  const line = "é".repeat(100);
  sink.write(line);
  for (let round = 0; round < 4; round++) await writer.release();
  assertEquals(writer.written.length, 4);
});

Deno.test("flush waits for what is queued, but not for ever", async () => {
  const writer = new SlowWriter();
  const clock = new FakeClock();
  const sink = createLogSink({ write: writer.write, clock, lostLine: String });
  await sink.flush(1000);
  sink.write("stuck");
  let flushed = false;
  const flushing = sink.flush(1000).then(() => flushed = true);
  await clock.advanceAsync(999);
  assertEquals(flushed, false);
  await clock.advanceAsync(1);
  await flushing;
  const again = sink.flush(1000);
  await writer.release();
  await again;
  assertEquals(writer.text, "stuck\n");
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("a sink whose reader has gone says nothing and goes on", async () => {
  const sink = createLogSink({
    write: () => Promise.reject(new Deno.errors.BrokenPipe()),
    clock: new FakeClock(),
    lostLine: String,
  });
  sink.write("a");
  await sink.flush(1000);
  sink.write("b");
  await sink.flush(1000);
});
