import { assert, assertEquals, assertRejects } from "@std/assert";
import { ConfigError } from "../config.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { managerFiles } from "./manager_files.ts";

Deno.test("what is wrong in a service's own [watchdog] is told with its line", async () => {
  using folder = new TempDirectory();
  Deno.writeTextFileSync(folder.path("web.toml"), 'command = ["/bin/true"]\n\n[watchdog]\nmax_restarts = "x"\n');
  const { problems, broken } = await managerFiles({ places: { services: folder.path("."), watchdogFiles: [] } }).load();
  assertEquals(broken, ["web"]);
  assertEquals(problems.map((problem) => problem.replace(/^.*\//, "")), [
    'web.toml:4: watchdog.max_restarts must be a whole number from 0 to 1000, got "x"',
  ]);
});

Deno.test("a time to settle that leaves none to start in is refused, in the settings and in a service's own", async () => {
  using folder = new TempDirectory();
  const services = folder.path("services");
  Deno.mkdirSync(services);
  const web = (settings: string) =>
    Deno.writeTextFileSync(`${services}/web.toml`, `command = ["/bin/true"]\n[watchdog]\n${settings}`);
  const watchdog = folder.path("watchdog.conf");
  Deno.writeTextFileSync(watchdog, "START_TIMEOUT=10\n");
  const files = managerFiles({ places: { services, watchdogFiles: [watchdog] } });
  web('settle_time = "9s"');
  assertEquals((await files.load()).problems, []);
  web('settle_time = "10s"');
  const { problems } = await files.load();
  assert(problems[0]?.includes("SETTLE_TIME must be below START_TIMEOUT"), problems.join());
  Deno.writeTextFileSync(watchdog, "START_TIMEOUT=10\nSETTLE_TIME=20\n");
  const error = await assertRejects(() => files.load(), ConfigError, "SETTLE_TIME must be below START_TIMEOUT");
  assert(error.message.startsWith("Cannot read the manager's settings"), error.message);
});
