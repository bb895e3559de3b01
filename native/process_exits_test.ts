import { assert, assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../protocol/errors.ts";
import { linesOf } from "../testing/program.ts";
import { within } from "../testing/waiting.ts";
import { readProcStat } from "./proc_files.ts";
import { isRunning, ProcessExits, type ProcessId } from "./process_exits.ts";

function sleeper(): Deno.ChildProcess {
  return new Deno.Command("/bin/sleep", { args: ["1000"], stdin: "null", stdout: "null" }).spawn();
}

function idOf(pid: number): ProcessId {
  return { pid, startTicks: readProcStat(pid)!.startTicks };
}

/** A process whose parent is gone. */
async function orphan(): Promise<number> {
  const shell = new Deno.Command("/bin/sh", { args: ["-c", "sleep 1000 >/dev/null & echo $!"], stdout: "piped" })
    .spawn();
  const lines = shell.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(linesOf()).getReader();
  const pid = Number((await lines.read()).value);
  await lines.cancel();
  await shell.status;
  return pid;
}

Deno.test("the end of each of hundreds of children is told, and of no other", async () => {
  await using exits = new ProcessExits();
  const children = Array.from({ length: 300 }, sleeper);
  const ended = new Set<number>();
  const waits = children.map(({ pid }) => exits.ended(idOf(pid)).then(() => ended.add(pid)));
  const [some, others] = [children.slice(0, 100), children.slice(100)];
  for (const child of some) child.kill("SIGKILL");
  await within("the first ends", Promise.all(waits.slice(0, 100)));
  assertEquals([...ended].sort(), some.map(({ pid }) => pid).sort());
  for (const child of others) child.kill("SIGKILL");
  await within("the other ends", Promise.all(waits));
  await Promise.all(children.map((child) => child.status));
});

Deno.test("the end of another's child is told, also where nobody collects it", async () => {
  await using exits = new ProcessExits();
  const pid = await orphan();
  const id = idOf(pid);
  const end = exits.ended(id);
  assert(isRunning(id));
  Deno.kill(pid, "SIGKILL");
  await within("its end", end);
  assert(!isRunning(id));
});

Deno.test("one that is gone, and one whose pid another process has, have ended", async () => {
  await using exits = new ProcessExits();
  const child = sleeper();
  const { pid, startTicks } = idOf(child.pid);
  await within("another's pid", exits.ended({ pid, startTicks: startTicks - 1 }));
  assert(!isRunning({ pid, startTicks: startTicks - 1 }));
  child.kill("SIGKILL");
  await child.status;
  await within("a pid of nobody", exits.ended({ pid, startTicks }));
});

Deno.test("whoever waits no more leaves the process and the other waits alone", async () => {
  await using exits = new ProcessExits();
  const child = sleeper();
  const id = idOf(child.pid);
  const controller = new AbortController();
  const [left, kept] = [exits.ended(id, controller.signal), exits.ended(id)];
  const reason = new Error("changed my mind");
  controller.abort(reason);
  assertEquals(await assertRejects(() => left), reason);
  assertEquals(await assertRejects(() => exits.ended(id, controller.signal)), reason);
  assert(isRunning(id));
  child.kill("SIGKILL");
  await within("its end", kept);
  await child.status;
});

Deno.test("closing tells whoever waits, and the processes go on", async () => {
  const child = sleeper();
  const id = idOf(child.pid);
  const exits = new ProcessExits();
  const waits = [exits.ended(id), exits.ended(id)].map((wait) => assertRejects(() => wait, CulvertError, "closed"));
  await exits[Symbol.asyncDispose]();
  await exits[Symbol.asyncDispose]();
  await Promise.all(waits);
  await assertRejects(() => exits.ended(id), CulvertError, "closed");
  assert(isRunning(id));
  child.kill("SIGKILL");
  await child.status;
});

Deno.test("a watch that has nobody to wait for waits again when there is one", async () => {
  await using exits = new ProcessExits();
  for (let round = 0; round < 3; round++) {
    const child = sleeper();
    const end = exits.ended(idOf(child.pid));
    child.kill("SIGKILL");
    await within("its end", end);
    await child.status;
  }
});
