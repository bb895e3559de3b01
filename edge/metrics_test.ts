import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { CulvertError } from "../protocol/errors.ts";
import { testWith } from "../testing/requirements.ts";
import { createMetrics, type MetricsRegistry } from "./metrics.ts";

function filled(): MetricsRegistry {
  const metrics = createMetrics({
    process: () => ({ cpuSeconds: 1.5, residentBytes: 4096, heapBytes: 1024, startTimeSeconds: 1_700_000_000 }),
  });
  const opened = metrics.counter("streams_opened_total", 'Streams opened, "all" of\nthem', ["result"]);
  opened.add(1, { result: "ok" });
  opened.add(2, { result: 'a "b"\\\n' });
  const links = metrics.gauge("links", "Links that are up");
  links.set(3);
  links.add(-1);
  const dial = metrics.histogram("dial_seconds", "Time to dial", [0.1, 1], ["path"]);
  dial.observe(0.05, { path: "direct" });
  dial.observe(5, { path: "direct" });
  return metrics;
}

Deno.test("instruments count, and the text says what they counted", async () => {
  const text = await filled().text();
  for (
    const line of [
      'streams_opened_total{result="ok"} 1',
      "links 2",
      'dial_seconds_bucket{le="0.1",path="direct"} 1',
      'dial_seconds_bucket{le="+Inf",path="direct"} 2',
      'dial_seconds_sum{path="direct"} 5.05',
      'dial_seconds_count{path="direct"} 2',
      "process_cpu_seconds_total 1.5",
      "process_resident_memory_bytes 4096",
      "process_heap_bytes 1024",
      "process_start_time_seconds 1700000000",
      "metrics_series_refused_total 0",
    ]
  ) assert(text.split("\n").includes(line), `${line} is not in\n${text}`);
  assertStringIncludes(createMetrics().contentType, "text/plain; version=0.0.4");
});

/** Checks the rules of the text format 0.0.4: one HELP and TYPE per family before its samples, and well-formed samples. */
function assertTextFormat(text: string): void {
  assert(text.endsWith("\n"));
  const types = new Map<string, string>();
  for (const line of text.split("\n").filter((line) => line !== "")) {
    const header = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/.exec(line);
    if (header) {
      const [, kind, name, rest] = header;
      if (kind === "TYPE") {
        assert(!types.has(name!), `two TYPE lines for ${name}`);
        assertMatch(rest!, /^(counter|gauge|histogram)$/);
        types.set(name!, rest!);
      }
      continue;
    }
    const sample =
      /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (-?[\d.e+-]+|NaN|[+-]Inf)$/.exec(
        line,
      );
    assert(sample, `no sample: ${line}`);
    const family = types.has(sample[1]!) ? sample[1]! : sample[1]!.replace(/_(bucket|sum|count)$/, "");
    assert(types.has(family), `no TYPE before ${line}`);
  }
}

Deno.test("the text keeps the rules of the Prometheus format", async () => {
  assertTextFormat(await filled().text());
});

testWith({ tools: ["promtool"] }, "promtool finds no fault with the text", async () => {
  const child = new Deno.Command("promtool", {
    args: ["check", "metrics"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(await filled().text()));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  assert(success, new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr));
});

Deno.test("asking twice for one name gives the same instrument", async () => {
  const metrics = createMetrics();
  metrics.counter("a_total", "A").add();
  metrics.counter("a_total", "A").add();
  assertStringIncludes(await metrics.text(), "\na_total 2\n");
  assertThrows(() => metrics.gauge("a_total", "A"), CulvertError, "Cannot make the gauge a_total");
  assertThrows(() => metrics.counter("a_total", "A", ["b"]), CulvertError, "got counter(b) after counter()");
});

Deno.test("names that Prometheus would refuse are refused", () => {
  const metrics = createMetrics();
  assertThrows(() => metrics.counter("a-b", "A"), CulvertError, `got "a-b"`);
  assertThrows(() => metrics.counter("a", "A", ["__b"]), CulvertError, `got "__b"`);
});

Deno.test("two registries do not know of each other", async () => {
  createMetrics().counter("a_total", "A").add();
  const other = createMetrics();
  other.counter("b_total", "B").add();
  assert(!(await other.text()).includes("a_total"));
});

Deno.test("labels that a stranger feeds do not grow without bound", async () => {
  const metrics = createMetrics({ maxSeries: 3 });
  const one = metrics.counter("one_total", "One label", ["name"]);
  const two = metrics.counter("two_total", "Two labels", ["a", "b"]);
  for (let index = 0; index < 100; index++) {
    one.add(1, { name: `stranger ${index}` });
    two.add(1, { a: "x".repeat(index), b: "y" });
  }
  one.add(1, { name: "stranger 0" });
  const lines = (await metrics.text()).split("\n");
  assertEquals(lines.filter((line) => line.startsWith("one_total")), [
    'one_total{name="stranger 0"} 2',
    'one_total{name="stranger 1"} 1',
    'one_total{name="stranger 2"} 1',
    'one_total{name="other"} 97',
  ]);
  assert(lines.includes('two_total{a="other",b="other"} 97'));
  assert(lines.includes("metrics_series_refused_total 194"));
});

Deno.test("labels that join to the same text are not mixed up", async () => {
  const metrics = createMetrics();
  const counter = metrics.counter("a_total", "A", ["a", "b"]);
  counter.add(1, { a: "x", b: "1:y" });
  counter.add(1, { a: "x1:", b: "y" });
  counter.add(1, { a: "x" });
  assertEquals((await metrics.text()).split("\n").filter((line) => line.startsWith("a_total")).length, 3);
});

Deno.test("what is taken away is printed no more, and makes room for another", async () => {
  const metrics = createMetrics({ maxSeries: 1 });
  const gauge = metrics.gauge("up", "Up.", ["service"]);
  gauge.set(1, { service: "a" });
  gauge.remove({ service: "a" });
  gauge.remove({ service: "never" });
  assertEquals((await metrics.text()).includes("up{"), false);
  gauge.set(1, { service: "b" });
  assertStringIncludes(await metrics.text(), 'up{service="b"} 1');
});
