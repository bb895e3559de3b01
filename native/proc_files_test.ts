import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { environmentValue, isAlive } from "../protocol/manager/proc_text.ts";
import { eventually } from "../testing/waiting.ts";
import {
  allPids,
  isGone,
  readBootId,
  readCommandLine,
  readProcFile,
  readProcStat,
  readUptimeMs,
} from "./proc_files.ts";

Deno.test("a process is told by its stat, environment and command line, until it is gone", async () => {
  const child = new Deno.Command("/bin/sleep", { args: ["1000"], env: { CULVERT_TEST: "a b" }, stdin: "null" }).spawn();
  await eventually("its own command line", () => readCommandLine(child.pid)?.[0] === "/bin/sleep");
  const stat = readProcStat(child.pid)!;
  assertEquals([stat.pid, stat.parentPid, stat.name], [child.pid, Deno.pid, "sleep"]);
  assert(isAlive(stat));
  assert(allPids().includes(child.pid));
  assertEquals(environmentValue(readProcFile(child.pid, "environ")!, "CULVERT_TEST"), "a b");
  assert(stat.startTicks * 10 <= readUptimeMs()!);
  child.kill("SIGKILL");
  await child.status;
  assertEquals(readProcStat(child.pid), undefined);
  assertEquals(readProcFile(child.pid, "environ"), undefined);
  assertEquals(readProcFile(child.pid, "status"), undefined);
});

Deno.test("one that has ended and is not collected is not alive", async () => {
  // The sleep is the shell's child and, once the shell has become another program, nobody's to collect.
  const script = "sleep 0 & exec sleep 1000";
  const child = new Deno.Command("/bin/sh", { args: ["-c", script], stdin: "null" }).spawn();
  const zombie = () => allPids().map(readProcStat).find((stat) => stat?.parentPid === child.pid && stat.state === "Z");
  await eventually("an end that nobody asks about", () => zombie() !== undefined);
  assert(!isAlive(zombie()));
  child.kill("SIGKILL");
  await child.status;
});

Deno.test("a process that goes while it is read is gone, and other errors are not taken for that", async () => {
  const child = new Deno.Command("/bin/sleep", { args: ["1000"], stdin: "null" }).spawn();
  using file = Deno.openSync(`/proc/${child.pid}/stat`);
  child.kill("SIGKILL");
  await child.status;
  let thrown: unknown;
  try {
    file.readSync(new Uint8Array(100));
  } catch (error) {
    thrown = error;
  }
  assertNotEquals(thrown, undefined);
  assert(isGone(thrown));
  assert(!isGone(new Error("Too many open files (os error 24)")));
});

Deno.test("the machine's boot has a name", () => assertMatch(readBootId(), /^[0-9a-f-]{36}$/));
