import { assertEquals } from "@std/assert";
import { LogCollector } from "./log_collector.ts";

Deno.test("lines are kept with their level and fields", () => {
  const log = new LogCollector();
  log.info("ready", { port: 1080 });
  log.with({ peer_id: "abc" }).with({ region: "eu" }).warn("slow", { latency_ms: 90, reason: undefined });
  assertEquals(log.text(), "info ready port=1080\nwarn slow peer_id=abc region=eu latency_ms=90");
  assertEquals(log.text("warn"), "warn slow peer_id=abc region=eu latency_ms=90");
});

Deno.test("waitFor gives a line that was said before or is said later", async () => {
  const log = new LogCollector();
  log.debug("first line");
  assertEquals((await log.waitFor("first")).level, "debug");
  const later = log.waitFor("second");
  log.error("another");
  log.error("the second one");
  assertEquals((await later).message, "the second one");
});
