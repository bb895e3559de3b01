import { assertEquals, assertStrictEquals } from "@std/assert";
import { noTracing } from "../protocol/tracing.ts";
import { LogCollector } from "../testing/log_collector.ts";
import { tracingOf } from "./tracing_switch.ts";

Deno.test("spans go anywhere only under Deno's own switch, and whoever leaves ids in requests is told so", async () => {
  const cases: readonly [Record<string, string>, isOn: boolean, warnings: number][] = [
    [{}, false, 0],
    [{ OTEL_DENO: "false" }, false, 0],
    [{ OTEL_DENO: "true" }, true, 1],
    [{ OTEL_DENO: "1", OTEL_PROPAGATORS: "none" }, true, 0],
  ];
  for (const [env, isOn, warnings] of cases) {
    const log = new LogCollector();
    const tracing = await tracingOf("exit", { env: (name) => env[name], log });
    assertEquals([tracing.isOn, log.lines.length], [isOn, warnings], JSON.stringify(env));
    if (!isOn) assertStrictEquals(tracing, noTracing);
    assertEquals(await tracing.run("path.dial", {}, () => Promise.resolve(7)), 7);
  }
});
