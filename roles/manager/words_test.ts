import { assertEquals } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { silentLog } from "../../protocol/log.ts";
import type { ManagerReport, ServiceReport } from "../../protocol/manager/report.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { askControlSocket, serveControlSocket } from "../control_socket.ts";
import { type ManagerRequest, managerWords as words } from "./words.ts";

const clock = clockOf(globalThis);

Deno.test("as many services as there may be can be named in a question, and told of in an answer", async () => {
  using temp = new TempDirectory();
  const names = Array.from({ length: 1000 }, (_, at) => `s${at}`.padEnd(32, "x"));
  const services = names.map((name): ServiceReport => ({
    name,
    description: "d".repeat(100),
    state: "running",
    sinceMs: 0,
    enabled: true,
    health: "healthy",
    reason: "r".repeat(1000),
    gaveUp: false,
    recentRestarts: 0,
    restarts: 0,
    listen: Array.from({ length: 64 }, (_, at) => `tcp:[2001:db8:1111:2222:3333:4444:5555:6666]:${at}`),
    notes: ["n".repeat(100)],
  }));
  const report: ManagerReport = { pid: 1, backend: "own", startedMs: 0, nowMs: 0, problems: [], services };
  let asked: ManagerRequest | undefined;
  const path = temp.path("manager.sock");
  const answer = (request: ManagerRequest) => Promise.resolve((asked = request, report));
  await using _serving = await serveControlSocket({ path, words, answer, clock, log: silentLog });
  const request: ManagerRequest = { do: "start", names };
  const { signal } = new AbortController();
  assertEquals(await askControlSocket({ path, words }, request, { clock, signal }), report);
  assertEquals(asked, request);
});
