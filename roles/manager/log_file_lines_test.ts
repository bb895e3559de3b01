import { assert, assertEquals, assertRejects } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { Changes } from "../../testing/waiting.ts";
import { fileLines, type LogFile } from "./log_file_lines.ts";

const clock = clockOf(globalThis);

/** A log that is written, cut and followed. */
class World implements AsyncDisposable {
  readonly temp = new TempDirectory();
  readonly file: LogFile = { path: this.temp.path("kcp.log"), older: this.temp.path("kcp.log.1") };
  readonly lines: string[] = [];
  readonly #changes = new Changes();
  readonly #end = new AbortController();
  #following: Promise<void> | undefined;

  write(text: string): void {
    Deno.writeTextFileSync(this.file.path, text, { append: true });
  }

  /** As the manager does it: the end is copied, then nothing is left. */
  cut(keptBytes = 1_000_000): void {
    Deno.writeFileSync(this.file.older, Deno.readFileSync(this.file.path).slice(-keptBytes));
    Deno.truncateSync(this.file.path, 0);
  }

  async last(lines: number): Promise<string[]> {
    return await Array.fromAsync(fileLines(this.file, { lines, follow: false, clock, signal: this.#end.signal }));
  }

  follow(lines: number): void {
    this.#following = this.#follow(lines);
  }

  async until(last: string): Promise<void> {
    await this.#changes.until(
      () => this.lines.at(-1) === last,
      `the line ${last}`,
      () => this.lines.slice(-5).join("\n"),
    );
  }

  async #follow(lines: number): Promise<void> {
    for await (const line of fileLines(this.file, { lines, follow: true, clock, signal: this.#end.signal })) {
      this.lines.push(line);
      this.#changes.tell();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort(new Error("The test is over"));
    if (this.#following) await assertRejects(() => this.#following!, Error, "The test is over");
    this.temp[Symbol.dispose]();
  }
}

const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => `line ${from + at}`);
const textOf = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join("");

Deno.test("the last lines are given, however many and however long there are", async () => {
  await using world = new World();
  assertEquals(await world.last(10), []);
  world.write("");
  assertEquals(await world.last(10), []);
  world.write("one\r\ntwo\n\nthree");
  assertEquals(await world.last(10), ["one", "two", "", "three"]);
  world.write("\n" + textOf(numbered(0, 50_000)));
  assertEquals(await world.last(3), ["line 49997", "line 49998", "line 49999"]);
  assertEquals(await world.last(0), []);
  assertEquals((await world.last(40_000)).length, 40_000);
  assertEquals((await world.last(100_000)).slice(0, 4), ["one", "two", "", "three"]);
});

Deno.test("after a cut the last lines are those of the older file as well", async () => {
  await using world = new World();
  world.write(textOf(numbered(0, 100)));
  world.cut();
  world.write(textOf(numbered(100, 103)));
  assertEquals(await world.last(5), numbered(98, 103));
});

Deno.test("a log that is not there yet is followed once it is", async () => {
  await using world = new World();
  world.follow(10);
  world.write("first\n");
  await world.until("first");
  world.write("in two ");
  world.write("pieces\n");
  await world.until("in two pieces");
  assertEquals(world.lines, ["first", "in two pieces"]);
});

Deno.test("cuts lose no line and repeat none, though nobody has read them before", async () => {
  await using world = new World();
  world.write(textOf(numbered(0, 10)));
  world.follow(2);
  await world.until("line 9");
  for (let from = 10; from < 60; from += 10) {
    // Written and cut at once: what was not read is in the older file alone.
    world.write(textOf(numbered(from, from + 5)));
    world.cut(500);
    world.write(textOf(numbered(from + 5, from + 10)));
    await world.until(`line ${from + 9}`);
  }
  assertEquals(world.lines, numbered(8, 60));
});

Deno.test("following ends when it should, though the log is written as fast as it is read", async () => {
  await using world = new World();
  const end = new AbortController();
  const lines: string[] = [];
  world.write("begin\n");
  const follow = async () => {
    for await (const line of fileLines(world.file, { lines: 1, follow: true, clock, signal: end.signal })) {
      lines.push(line);
      if (lines.length < 100) world.write("more\n");
      if (lines.length === 3) end.abort(new Error("enough"));
    }
  };
  await assertRejects(follow, Error, "enough");
  assertEquals(lines.length, 3);
});

Deno.test("another file in its place is read from its start", async () => {
  await using world = new World();
  world.write("old\n");
  world.follow(1);
  await world.until("old");
  world.write("last of the old\n");
  Deno.renameSync(world.file.path, world.temp.path("moved"));
  world.write("new\n");
  await world.until("new");
  assertEquals(world.lines, ["old", "last of the old", "new"]);
});

Deno.test("a line without an end comes in pieces, and memory is bounded", async () => {
  await using world = new World();
  world.write("x".repeat(300_000));
  const lines = await world.last(1000);
  assertEquals(lines.join("").length, 300_000);
  world.write("\nbegin\n");
  world.follow(1);
  await world.until("begin");
  world.write("y".repeat(200_000) + "\nend\n");
  await world.until("end");
  assert(world.lines.every((line) => line.length <= 200_000));
});
