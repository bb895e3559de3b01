import { assertEquals } from "@std/assert";
import { split, type SplitPath } from "../../net/combine.ts";
import { clockOf } from "../../protocol/clock.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { LogCollector } from "../../testing/log_collector.ts";
import { ScriptedPath } from "../../testing/scripted_path.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { askSplitReport, reportedAt, serveSplitReport } from "./report_socket.ts";

const clock = clockOf(globalThis);
const { signal } = new AbortController();

function splitOf(...names: readonly string[]): SplitPath {
  const ownClock = new FakeClock();
  const members = names.map((name) => ({ name, path: new ScriptedPath(ownClock) }));
  return split(members, { clock: ownClock, random: new SeededRandom(1), probe: false });
}

Deno.test("two proxies with one port at different addresses both tell their own", async () => {
  using temp = new TempDirectory();
  const context = { stateDir: temp.path("state"), clock, log: new LogCollector() };
  using one = splitOf("a", "b");
  using other = splitOf("c", "d");
  const places = ["127.0.0.1", "::1"].map((host) => ({ host, port: 1080 }));
  await using _one = await serveSplitReport(one, places[0], context);
  await using _other = await serveSplitReport(other, places[1], context);
  const reports = await Promise.all(places.map((at) => askSplitReport(context.stateDir, at, { clock, signal })));
  assertEquals(reports.map((report) => report?.sides.map(({ name }) => name)), [["a", "b"], ["c", "d"]]);
});

Deno.test("a report that cannot be asked for is a warning, and keeps no proxy from its work", async () => {
  using temp = new TempDirectory();
  const log = new LogCollector();
  const listen = { host: "127.0.0.1", port: 1080 };
  using path = splitOf("a", "b");
  await Deno.writeTextFile(temp.path("file"), "");
  for (const stateDir of [temp.path("file"), temp.path("x".repeat(200))]) {
    await using _serving = await serveSplitReport(path, listen, { stateDir, clock, log });
  }
  assertEquals(log.lines.map(({ level, message }) => `${level} ${message}`), [
    "warn The split cannot be asked for its report",
    "warn The split cannot be asked for its report",
  ]);
});

Deno.test("a proxy is found by the host that it was told and the port that it has got", () => {
  assertEquals(reportedAt({ host: "localhost", port: 0 }, "127.0.0.1:4711"), { host: "localhost", port: 4711 });
  assertEquals(reportedAt(undefined, undefined), undefined);
});
