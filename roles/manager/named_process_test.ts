import { assertEquals } from "@std/assert";
import { readBootId, readProcStat } from "../../native/proc_files.ts";
import { formatPidFile } from "../../protocol/manager/pid_file.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { namedProcess, runningPid } from "./named_process.ts";

const { startTicks } = readProcStat(Deno.pid)!;
const bootId = readBootId();
const otherBoot = "00000000-0000-0000-0000-000000000000";
const commandHash = "0123456789abcdef";

const rows: readonly { name: string; text: string; state: "runs" | "gone" | "unreadable" }[] = [
  { name: "of this process", text: formatPidFile(Deno.pid, { startTicks, bootId, commandHash }), state: "runs" },
  {
    name: "of another start",
    text: formatPidFile(Deno.pid, { startTicks: startTicks + 1, bootId, commandHash }),
    state: "gone",
  },
  {
    name: "of another boot",
    text: formatPidFile(Deno.pid, { startTicks, bootId: otherBoot, commandHash }),
    state: "gone",
  },
  { name: "a pid alone", text: `${Deno.pid}\n`, state: "unreadable" },
  { name: "nothing", text: "", state: "unreadable" },
  { name: "far too much", text: "1".repeat(10_000), state: "unreadable" },
];

for (const { name, text, state } of rows) {
  Deno.test(`a pid file: ${name}`, async () => {
    using temp = new TempDirectory();
    const path = temp.path("s.pid");
    await Deno.writeTextFile(path, text);
    assertEquals((await namedProcess(path)).state, state);
    assertEquals(await runningPid(path), state === "runs" ? Deno.pid : undefined);
  });
}

Deno.test("a pid file that is not there, or no file, names nobody", async () => {
  using temp = new TempDirectory();
  assertEquals(await runningPid(temp.path("s.pid")), undefined);
  assertEquals(await runningPid(temp.path("")), undefined);
});
