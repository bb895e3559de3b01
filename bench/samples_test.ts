import { assert, assertEquals, assertThrows } from "@std/assert";
import { createMetrics } from "../edge/metrics.ts";
import { quantileOf, samplesOf, sumOf } from "./samples.ts";

const BOUNDS = [0.1, 0.5, 1];

Deno.test("what our own metrics print is read back, label by label", async () => {
  const metrics = createMetrics();
  const counter = metrics.counter("answers_total", "Answers", ["kind", "reason"]);
  counter.add(3, { kind: "a", reason: "x y" });
  counter.add(4, { kind: "b", reason: "z" });
  metrics.counter("answers_total_more", "Not these").add(100);
  const samples = samplesOf(await metrics.text());
  assertEquals(sumOf(samples, "answers_total"), 7);
  assertEquals(sumOf(samples, "answers_total", 'kind="a"'), 3);
  assertEquals(sumOf(samples, "unknown_total"), 0);
});

Deno.test("a quantile is that of what was counted in between, over all labels", async () => {
  const metrics = createMetrics();
  const latency = metrics.histogram("latency_seconds", "Latency", BOUNDS, ["kind"]);
  for (let time = 0; time < 50; time++) latency.observe(0.9, { kind: "before" });
  const before = samplesOf(await metrics.text());
  for (let time = 0; time < 98; time++) latency.observe(0.05, { kind: "a" });
  for (let time = 0; time < 2; time++) latency.observe(0.3, { kind: "b" });
  const after = samplesOf(await metrics.text());
  const p99 = quantileOf(before, after, "latency_seconds", 0.99);
  assert(Math.abs(p99 - 0.3) < 1e-9, `${p99}`);
  const p49 = quantileOf(before, after, "latency_seconds", 0.49);
  assert(Math.abs(p49 - 0.05) < 1e-9, `${p49}`);
});

Deno.test("beyond the last bound a quantile is that bound, and of nothing there is none", async () => {
  const metrics = createMetrics();
  const latency = metrics.histogram("latency_seconds", "Latency", BOUNDS);
  const before = samplesOf(await metrics.text());
  latency.observe(7);
  const after = samplesOf(await metrics.text());
  assertEquals(quantileOf(before, after, "latency_seconds", 0.99), 1);
  assertThrows(() => quantileOf(after, after, "latency_seconds", 0.5), RangeError, "counted nothing");
});
