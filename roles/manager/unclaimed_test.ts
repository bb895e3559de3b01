import { assertEquals } from "@std/assert";
import { readBootId, readProcStat } from "../../native/proc_files.ts";
import { formatPidFile } from "../../protocol/manager/pid_file.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { unclaimedProcesses } from "./unclaimed.ts";

Deno.test("a pid file that names what runs, and belongs to no service, is told; no other is", () => {
  using run = new TempDirectory();
  const { startTicks } = readProcStat(Deno.pid)!;
  const identity = { startTicks, bootId: readBootId(), commandHash: "0123456789abcdef" };
  const running = formatPidFile(Deno.pid, identity);
  const texts = {
    lost: running,
    known: running,
    gone: formatPidFile(Deno.pid, { ...identity, startTicks: startTicks - 1 }),
    boot: formatPidFile(Deno.pid, { ...identity, bootId: "00000000-0000-0000-0000-000000000000" }),
    bare: `${Deno.pid}`,
    empty: "",
    long: "1".repeat(1000),
  };
  for (const [name, text] of Object.entries(texts)) Deno.writeTextFileSync(run.path(`${name}.pid`), text);
  Deno.writeTextFileSync(run.path("other.notify"), running);
  assertEquals(unclaimedProcesses(run.path("."), new Set(["known"])), [
    `lost: one runs, pid ${Deno.pid}, and has no service file that can be used: give it one and read the files ` +
    `again, or end it with kill -- -${Deno.pid}`,
  ]);
});
