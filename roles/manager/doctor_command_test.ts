import { assert, assertEquals, assertRejects } from "@std/assert";
import { readBootId, readProcStat } from "../../native/proc_files.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { formatPidFile } from "../../protocol/manager/pid_file.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { startRole } from "../role.ts";
import type { Finding } from "./doctor/finding.ts";
import { doctorRole } from "./doctor_command.ts";
import { FakeManager } from "./fixtures/fake_manager.ts";

/** What it prints, each line; rejects as it does. */
async function runDoctor(temp: TempDirectory, json: boolean, lines: string[]): Promise<void> {
  const places = { services: temp.path("services"), runDir: temp.path("run"), logDir: temp.path("log") };
  const settings = doctorRole.config.parse({ ...places, backend: "own" });
  const print = (line: string) => void lines.push(line);
  await using running = startRole(doctorRole, settings, { stateDir: temp.path("state"), json, print });
  await running.done;
}

async function makeWorld(files: Readonly<Record<string, string>>): Promise<TempDirectory> {
  const temp = new TempDirectory();
  for (const folder of ["services", "run"]) await Deno.mkdir(temp.path(folder));
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(temp.path(name), text);
  return temp;
}

Deno.test("the doctor finds what is wrong, says what to do, and fails", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  using temp = await makeWorld({
    "services/bad.toml": "listen = 1",
    "services/gone.toml": 'command = ["/nonexistent/program"]',
    "services/taken.toml": `command = ["/bin/sh"]\nlisten = ["127.0.0.1:${port}"]`,
    "run/gone.pid": "4194303\n1 00000000-0000-0000-0000-000000000000 0123456789abcdef\n",
  });
  await using _manager = await FakeManager.serve(temp.path("run"), [{
    name: "gone",
    gaveUp: true,
    reason: "it crashed",
  }]);
  const lines: string[] = [];
  const error = await assertRejects(() => runDoctor(temp, true, lines), CulvertError, "Found what is wrong");
  assertEquals(error.code, "problems_found");
  const findings: Finding[] = JSON.parse(lines[0]!).findings;
  const says = (verdict: Finding["verdict"], check: string, what: string) =>
    assert(findings.some((one) => one.verdict === verdict && one.check === check && one.says.includes(what)), what);
  says("fail", "service files", "bad.toml");
  says("fail", "gone", "/nonexistent/program is no program");
  says("fail", "gone", "it was given up: it crashed");
  says("fail", "taken", `127.0.0.1:${port} is taken by`);
  says("warn", "pid files", "names a process that is gone");
  assert(findings.every(({ verdict, advice }) => verdict === "ok" || advice !== undefined));
});

Deno.test("without a manager the doctor does not take a service that runs for a stranger at its port", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { startTicks } = readProcStat(Deno.pid)!;
  using temp = await makeWorld({
    "services/mine.toml": `command = ["/bin/sh"]\nlisten = ["127.0.0.1:${listener.addr.port}"]`,
    "run/mine.pid": formatPidFile(Deno.pid, { startTicks, bootId: readBootId(), commandHash: "0123456789abcdef" }),
  });
  const lines: string[] = [];
  await runDoctor(temp, false, lines);
  assert(lines.includes("ok    mine: its program, user and ports are as they should be"), lines.join("\n"));
});

Deno.test("where nothing fails the doctor says so, line by line", async () => {
  using temp = await makeWorld({ "services/good.toml": 'command = ["/bin/sh"]' });
  const lines: string[] = [];
  await runDoctor(temp, false, lines);
  assert(lines.includes("ok    good: its program, user and ports are as they should be"));
  assert(lines.some((line) => line.startsWith("warn  manager: none runs here")));
});
