import { fromFileUrl } from "@std/path";
import { assertEquals } from "@std/assert";
import { readProcStat } from "../../native/proc_files.ts";
import { clockOf } from "../../protocol/clock.ts";
import { Program } from "../../testing/program.ts";
import { testWith } from "../../testing/requirements.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { Orphans } from "./orphans.ts";

testWith(
  { root: true, tools: ["unshare"] },
  "the first process of a container collects orphans that have ended",
  async () => {
    const program = fromFileUrl(new URL("fixtures/first_process.ts", import.meta.url));
    const first = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", Deno.execPath(), "run", "-A"] as const;
    await using container = new Program([...first, program]);
    assertEquals(await container.readJson(), { pid: 1, code: 4, before: 3, looks: [0, 3, 0], after: 0 });
    assertEquals(await container.ended(), 0);
  },
);

Deno.test("a child that Deno will ask about is left to it", async () => {
  using orphans = new Orphans(clockOf(globalThis));
  const child = new Deno.Command("/bin/sh", { args: ["-c", "exit 3"], stdin: "null" }).spawn();
  // Nothing is waited for from its end on, so Deno has had no time to ask.
  const endMs = performance.now() + 30_000;
  while (readProcStat(child.pid)?.state !== "Z" && performance.now() < endMs);
  assertEquals(orphans.look(), 0);
  assertEquals((await within("its end", child.status)).code, 3);
  await eventually("its end in the table", () => readProcStat(child.pid) === undefined);
});
