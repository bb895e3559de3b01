import { assertEquals } from "@std/assert";
import { silentLog } from "../../protocol/log.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { Failures, type Report } from "./failures.ts";

Deno.test("of two who kill a part at once one is told that it is killed, the other that it does not run", async () => {
  const told: Report[] = [];
  let isRunning = true;
  let kills = 0;
  const failures = new Failures({
    network: {
      names: ["exit-1"],
      entrance: "client",
      lines: () => [],
      isRunning: () => isRunning,
      isTold: () => true,
      kill() {
        const wasRunning = isRunning;
        isRunning = false;
        return wasRunning;
      },
      restart: () => Promise.resolve(true),
      findRoute: () => Promise.resolve(undefined),
      partsOf: () => [],
    },
    context: { clock: new FakeClock(), signal: new AbortController().signal, log: silentLog },
    tell: (report) => void told.push(report),
  });
  const kill = () => failures.kill("exit-1", () => kills++);
  await Promise.all([kill(), kill()]);
  assertEquals([kills, told.map(({ event }) => event).sort()], [1, ["killed", "lost", "not_running"]]);
});
