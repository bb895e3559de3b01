import { assertEquals } from "@std/assert";
import { setImmediate } from "node:timers/promises";
import { clockOf } from "../../../protocol/clock.ts";
import { TempDirectory } from "../../../testing/temp_directory.ts";
import { hostPrimitives } from "../../host_primitives.ts";
import { LocalReader } from "./local_reader.ts";

const FILES = 1200;

Deno.test("a look tells of no more files before the last were taken, and nothing is read meanwhile", async () => {
  using temp = new TempDirectory();
  for (let at = 0; at < FILES; at++) Deno.writeTextFileSync(temp.path(`${at}.txt`), "");
  const { sha256 } = hostPrimitives();
  const folder = temp.path("");
  using reader = new LocalReader({ folder, hidden: false, clock: clockOf(globalThis), sha256, restShare: 0 });
  const taken = Promise.withResolvers<void>();
  const told: number[] = [];
  const looking = reader.look([""], (files) => {
    told.push(files.length);
    return taken.promise;
  });
  const read: string[] = [];
  const { size, mtime, ino } = Deno.statSync(temp.path("7.txt"));
  const seen = { path: "7.txt", size, modifiedMs: mtime!.getTime(), inode: ino! };
  const reading = reader.read([seen], ({ path }) => read.push(path));
  for (let turn = 0; turn < 50; turn++) await setImmediate();
  assertEquals([told.length, read], [1, []]);
  taken.resolve();
  await Promise.all([looking, reading]);
  assertEquals([told.reduce((sum, count) => sum + count), read], [FILES, ["7.txt"]]);
});
