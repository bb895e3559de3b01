import { assert, assertEquals, assertRejects } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import { linesOf } from "../testing/program.ts";
import { within } from "../testing/waiting.ts";
import { readProcStat } from "./proc_files.ts";
import { isRunning, ProcessExits, type ProcessId } from "./process_exits.ts";

const clock = clockOf(globalThis);

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
  await using exits = new ProcessExits({ clock });
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
  await using exits = new ProcessExits({ clock });
  const pid = await orphan();
  const id = idOf(pid);
  const end = exits.ended(id);
  assert(isRunning(id));
  Deno.kill(pid, "SIGKILL");
  await within("its end", end);
  assert(!isRunning(id));
});

Deno.test("one that is gone, and one whose pid another process has, have ended", async () => {
  await using exits = new ProcessExits({ clock });
  const child = sleeper();
  const { pid, startTicks } = idOf(child.pid);
  await within("another's pid", exits.ended({ pid, startTicks: startTicks - 1 }));
  assert(!isRunning({ pid, startTicks: startTicks - 1 }));
  child.kill("SIGKILL");
  await child.status;
  await within("a pid of nobody", exits.ended({ pid, startTicks }));
});

Deno.test("whoever waits no more leaves the process and the other waits alone", async () => {
  await using exits = new ProcessExits({ clock });
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
  const exits = new ProcessExits({ clock });
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
  await using exits = new ProcessExits({ clock });
  for (let round = 0; round < 3; round++) {
    const child = sleeper();
    const end = exits.ended(idOf(child.pid));
    child.kill("SIGKILL");
    await within("its end", end);
    await child.status;
  }
});

Deno.test("an end that nobody waits for any more is not taken for that of whoever is watched next", async () => {
  await using exits = new ProcessExits({ clock });
  const [first, second, last] = [sleeper(), sleeper(), sleeper()];
  const ids = [first, second, last].map(({ pid }) => idOf(pid));
  const controller = new AbortController();
  const left = assertRejects(() => exits.ended(ids[0]!, controller.signal));
  const lastEnd = exits.ended(ids[2]!);
  // Between these no event is seen here, but the thread that waits has it.
  first.kill("SIGKILL");
  const untilMs = clock.now() + 50;
  while (isRunning(ids[0]!) || clock.now() < untilMs);
  controller.abort(new Error("changed my mind"));
  let hasEnded = false;
  const secondEnd = exits.ended(ids[1]!).then(() => hasEnded = true);
  last.kill("SIGKILL");
  await within("the end of the last", lastEnd);
  assert(!hasEnded, "the second runs");
  second.kill("SIGKILL");
  await within("the end of the second", secondEnd);
  await Promise.all([left, ...[first, second, last].map(({ status }) => status)]);
});

Deno.test("where the kernel has no pidfd an end is seen all the same", async () => {
  await using exits = new ProcessExits({ clock, pidfdOpen: 100_000n });
  const child = sleeper();
  const id = idOf(child.pid);
  const controller = new AbortController();
  const left = exits.ended(id, controller.signal);
  controller.abort(new Error("changed my mind"));
  await assertRejects(() => left, Error, "changed my mind");
  const end = exits.ended(id);
  child.kill("SIGKILL");
  await within("its end", end);
  await child.status;
  await within("one that is gone", exits.ended(id));
  const other = sleeper();
  const closed = assertRejects(() => exits.ended(idOf(other.pid)), CulvertError, "closed");
  await exits[Symbol.asyncDispose]();
  await closed;
  other.kill("SIGKILL");
  await other.status;
});
