import { assert, assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { testWith } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { lockRunDirectory } from "./manager_lock.ts";

Deno.test("a run directory has one manager at a time, and the next one after that", async () => {
  using temp = new TempDirectory();
  const run = temp.path("");
  const first = await lockRunDirectory(run);
  const told = `no other manager may be at it, and process ${Deno.pid} is`;
  await assertRejects(() => lockRunDirectory(run), CulvertError, told);
  first[Symbol.dispose]();
  assertEquals([...Deno.readDirSync(run)], []);
  using _second = await lockRunDirectory(run);
  await assertRejects(() => lockRunDirectory(run), CulvertError, told);
});

Deno.test("of many at once one wins", async () => {
  using temp = new TempDirectory();
  const tries = await Promise.allSettled(Array.from({ length: 20 }, () => lockRunDirectory(temp.path(""))));
  const won = tries.filter((one) => one.status === "fulfilled");
  assertEquals(won.length, 1);
  won[0]!.value[Symbol.dispose]();
});

testWith({ root: true, tools: ["mount", "umount"] }, "on a full disk there is one manager all the same", async () => {
  using temp = new TempDirectory();
  const run = temp.path("run");
  Deno.mkdirSync(run);
  const mount = (program: string, ...args: string[]) => new Deno.Command(program, { args }).outputSync().success;
  assert(mount("mount", "-t", "tmpfs", "-o", "size=4k", "culvert-test", run));
  using _mount = { [Symbol.dispose]: () => void mount("umount", "--lazy", run) };
  Deno.writeFileSync(`${run}/ballast`, new Uint8Array(4096));
  using _lock = await lockRunDirectory(run);
  await assertRejects(() => lockRunDirectory(run), CulvertError, "one that has just started is");
});

Deno.test("a file that a killed manager has left is in nobody's way, and one that is taken away is nobody's lock", async () => {
  using temp = new TempDirectory();
  Deno.writeTextFileSync(temp.path("manager.lock"), "1\n");
  const first = await lockRunDirectory(temp.path(""));
  Deno.removeSync(temp.path("manager.lock"));
  using _second = await lockRunDirectory(temp.path(""));
  first[Symbol.dispose]();
  await assertRejects(() => lockRunDirectory(temp.path("")), CulvertError, "no other manager");
});
