import { assertEquals } from "@std/assert";
import { LogCollector } from "../../testing/log_collector.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { restingServices } from "./resting.ts";

Deno.test("what is to stay stopped is known to the next manager, with its reason, until it is cleared or the next boot", () => {
  using run = new TempDirectory();
  const log = new LogCollector();
  restingServices(run.path("."), log).write("web", { gaveUp: true, reason: "It ended:\nexit code 3" });
  restingServices(run.path("."), log).write("idle", { gaveUp: false });
  const next = restingServices(run.path("."), log);
  assertEquals(next.read("web"), { gaveUp: true, reason: "It ended: exit code 3" });
  assertEquals([next.read("idle"), next.read("other")], [{ gaveUp: false }, undefined]);
  next.clear("web");
  next.clear("other");
  assertEquals(next.read("web"), undefined);
  Deno.writeTextFileSync(run.path("web.stopped"), "stopped 00000000-0000-0000-0000-000000000000\n\n");
  Deno.writeTextFileSync(run.path("idle.stopped"), "stopped");
  assertEquals([next.read("web"), next.read("idle")], [undefined, undefined]);
  assertEquals(log.lines, []);
});
