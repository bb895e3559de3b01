import { assertEquals } from "@std/assert";
import { plainService } from "../../protocol/manager/fixtures/plain_service.ts";
import type { ServiceReport } from "../../protocol/manager/report.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { Meter } from "./meter.ts";
import { ServiceProcesses } from "./service_processes.ts";
import { readStats } from "./stats.ts";

const NOW_MS = Date.UTC(2026, 0, 1);

function reportOf(name: string, more: Partial<ServiceReport>): ServiceReport {
  return {
    name,
    description: "",
    state: "stopped",
    sinceMs: NOW_MS,
    enabled: true,
    health: "unknown",
    gaveUp: false,
    recentRestarts: 0,
    restarts: 0,
    listen: [],
    notes: [],
    ...more,
  };
}

Deno.test("every service has its row, in order; what runs has numbers, what has just gone has none", async () => {
  const stat = { pid: 10, startTicks: 77, sessionId: 10, userTicks: 100, systemTicks: 0, childTicks: 0 };
  const whole = { ...stat, name: "b", state: "S", parentPid: 1, groupId: 10, threads: 1, residentPages: 1 };
  const machine = {
    processes: () => new ServiceProcesses([whole]),
    memoryBytesOf: () => 4096,
    openFilesOf: () => 3,
  };
  const startedMs = NOW_MS - 10_000;
  const metered = (name: string, pid: number) => ({
    service: plainService(name, ["/bin/true"]),
    process: { pid, startTicks: 77, startedMs },
  });
  const stats = await readStats({
    reports: [
      reportOf("a", { restarts: 2 }),
      reportOf("b", { state: "running", health: "healthy", startedMs }),
      reportOf("c", { state: "running", startedMs }),
    ],
    running: [metered("c", 11), metered("b", 10)],
    meter: new Meter({ clock: new FakeClock(NOW_MS), machine }),
    nowMs: NOW_MS,
  });
  assertEquals(stats, [
    { name: "a", state: "stopped", restarts: 2, health: "unknown" },
    {
      name: "b",
      state: "running",
      restarts: 0,
      health: "healthy",
      uptimeMs: 10_000,
      cpuPercent: 10,
      memoryBytes: 4096,
      openFiles: 3,
      processes: 1,
    },
    { name: "c", state: "running", restarts: 0, health: "unknown", uptimeMs: 10_000 },
  ]);
});
