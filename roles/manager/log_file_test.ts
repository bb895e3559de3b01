import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { plainService } from "../../protocol/manager/fixtures/plain_service.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { LogCollector } from "../../testing/log_collector.ts";
import { testWith } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { OwnRunnerWorld } from "./fixtures/own_runner_world.ts";
import * as programs from "./fixtures/programs.ts";
import { never } from "./fixtures/runner_contract.ts";
import { LogFile, nextLookMs, olderLogOf } from "./log_file.ts";

class Place implements Disposable {
  readonly #temp = new TempDirectory();
  readonly path = this.#temp.path("one.log");
  readonly clock = new FakeClock();
  readonly log = new LogCollector();

  open(maxBytes: number, writerPid?: number): LogFile {
    const writer = writerPid === undefined ? {} : { writerPid };
    return new LogFile({ name: "one", path: this.path, ...writer, maxBytes, clock: this.clock, log: this.log });
  }

  append(text: string): void {
    Deno.writeTextFileSync(this.path, text, { append: true });
  }

  read(): readonly (string | undefined)[] {
    return [this.path, olderLogOf(this.path)].map((path) => {
      try {
        return Deno.readTextFileSync(path);
      } catch {
        return undefined;
      }
    });
  }

  [Symbol.dispose](): void {
    this.#temp[Symbol.dispose]();
  }
}

Deno.test("a log within its bound is left alone, and beyond it its end is kept", async () => {
  using place = new Place();
  place.append("12345678");
  await using file = place.open(8);
  await file.look();
  assertEquals(place.read(), ["12345678", undefined]);
  place.append("9abc");
  await file.look();
  assertEquals(place.read(), ["", "56789abc"]);
  place.append("defghijklmno");
  await file.look();
  assertEquals(place.read(), ["", "hijklmno"]);
});

Deno.test("a descriptor that is open for appending goes on at the beginning after a cut", async () => {
  using place = new Place();
  using writer = Deno.openSync(place.path, { append: true, create: true });
  await using file = place.open(4);
  writer.writeSync(new TextEncoder().encode("123456"));
  await file.look();
  writer.writeSync(new TextEncoder().encode("7"));
  assertEquals(place.read(), ["7", "3456"]);
});

Deno.test("what is kept is for nobody's eyes but the log's", async () => {
  using place = new Place();
  place.append("123456");
  Deno.chmodSync(place.path, 0o600);
  await using file = place.open(4);
  await file.look();
  assertEquals(Deno.statSync(olderLogOf(place.path)).mode! & 0o777, 0o600);
});

const pauses = [
  { name: "quiet: ever longer", lastMs: 400, grownBytes: 0, roomBytes: 1000, nextMs: 800 },
  { name: "quiet for long: no longer than that", lastMs: 10_000, grownBytes: 0, roomBytes: 1000, nextMs: 10_000 },
  { name: "cut to nothing since: as if quiet", lastMs: 400, grownBytes: -500, roomBytes: 1000, nextMs: 800 },
  { name: "growing: twice on the way", lastMs: 10_000, grownBytes: 200, roomBytes: 200, nextMs: 5_000 },
  { name: "growing fast: soon", lastMs: 10_000, grownBytes: 1_000_000, roomBytes: 1_000, nextMs: 100 },
  { name: "beyond its bound: soon", lastMs: 10_000, grownBytes: 1000, roomBytes: -1000, nextMs: 100 },
];
for (const { name, lastMs, grownBytes, roomBytes, nextMs } of pauses) {
  Deno.test(`how long until the next look at a log, ${name}`, () => {
    assertEquals(nextLookMs(lastMs, grownBytes, roomBytes), nextMs);
  });
}

Deno.test("a log is looked at again and again until it is let go", async () => {
  using place = new Place();
  {
    await using _file = place.open(4);
    for (const text of ["123456", "abcdef"]) {
      place.append(text);
      await place.clock.advance(10_000);
      await eventually("a cut", () => place.read()[1] === text.slice(2));
    }
    place.append("uvwxyz");
  }
  assertEquals(place.read(), ["", "wxyz"], "and once more then");
  place.append("123456");
  await place.clock.advance(60_000);
  assertEquals(place.read(), ["123456", "wxyz"]);
});

Deno.test("a log that is not there is waited for", async () => {
  using place = new Place();
  await using file = place.open(4);
  await file.look();
  place.append("123456");
  await file.look();
  assertEquals(place.read(), ["", "3456"]);
  assertEquals(place.log.lines, []);
});

for (
  const [what, takeAway] of Object.entries({
    "is moved": (path: string) => Deno.renameSync(path, `${path}.old`),
    "is removed": (path: string) => Deno.removeSync(path),
    "gives way to another": (path: string) => {
      Deno.renameSync(path, `${path}.old`);
      Deno.writeTextFileSync(path, "somebody else's");
    },
  })
) {
  Deno.test(`a log that ${what} while its service writes it keeps its bound, and that is told once`, async () => {
    using place = new Place();
    const args = ["-c", 'exec cat >>"$0"', place.path];
    await using writer = new Deno.Command("/bin/sh", { args, stdin: "piped" }).spawn();
    const input = writer.stdin.getWriter();
    const output = `/proc/${writer.pid}/fd/1`;
    const write = async (text: string, bytes: number) => {
      await input.write(new TextEncoder().encode(text));
      await eventually("what it writes", () => Deno.statSync(output).size === bytes);
    };
    await eventually("its log", () => Deno.statSync(output).isFile);
    await using file = place.open(8, writer.pid);
    await write("1234", 4);
    takeAway(place.path);
    await file.look();
    await write("56789abc", 12);
    await file.look();
    assertEquals(Deno.statSync(output).size, 0);
    assertEquals(place.read()[1], "56789abc");
    await write("defghijkl", 9);
    await file.look();
    assertEquals(place.read()[1], "efghijkl");
    assertEquals(place.log.lines.map(({ message }) => message), [
      "A log was moved or removed; its service writes there until it is restarted",
    ]);
    await input.close();
  });
}

Deno.test("what a service writes to by its own choice is left alone", async () => {
  using place = new Place();
  place.append("1234");
  const other = `${place.path}.own`;
  const args = ["-c", 'echo "all of it is kept" >"$0"; exec cat >>"$0"', other];
  await using writer = new Deno.Command("/bin/sh", { args, stdin: "piped" }).spawn();
  await eventually("its file", () => Deno.statSync(`/proc/${writer.pid}/fd/1`).size > 8);
  await using file = place.open(8, writer.pid);
  await file.look();
  Deno.removeSync(place.path);
  await file.look();
  assertEquals(Deno.readTextFileSync(other), "all of it is kept\n");
  assertEquals(place.log.lines, []);
  await writer.stdin.close();
});

Deno.test("where its end cannot be kept the bound holds all the same, which is told", async () => {
  using place = new Place();
  place.append("123456");
  Deno.mkdirSync(`${olderLogOf(place.path)}.tmp`);
  await using file = place.open(4);
  await file.look();
  assertEquals(place.read(), ["", undefined]);
  assertStringIncludes(place.log.text("warn"), "The end of a log is lost");
});

Deno.test("a log that is filled is cut again and again, and the service does not notice", async () => {
  await using world = await OwnRunnerWorld.open();
  const maxBytes = 256 * 1024;
  const full = plainService("one", programs.fillsLog, { log: { maxBytes } });
  const process = await world.runner.start(full, never);
  const path = `${world.places.logs}/one.log`;
  const cuts = new Set<number>();
  await eventually("three cuts", async () => {
    const older = await Deno.stat(`${path}.1`).catch(() => undefined);
    if (older) {
      cuts.add(older.mtime!.getTime());
      assert(older.size <= maxBytes + 256 * 1024, `${older.size} bytes are kept`);
    }
    return cuts.size >= 3;
  });
  assertEquals((await world.runner.find([full])).map((one) => one?.pid), [process.pid]);
  Deno.kill(process.pid, "SIGKILL");
  await within("its end", world.runner.exited(full, process));
  await world.succeed(); // which waits for the last cut
  assert((await Deno.stat(path)).size <= maxBytes);
});

testWith(
  { root: true, tools: ["mount", "umount"] },
  "on a full disk a service goes on, which is told once",
  async () => {
    await using world = await OwnRunnerWorld.open();
    const { logs } = world.places;
    const mount = (program: string, ...args: string[]) => new Deno.Command(program, { args }).outputSync().success;
    assert(mount("mount", "-t", "tmpfs", "-o", "size=64k,mode=0755", "culvert-test", logs));
    using _mount = { [Symbol.dispose]: () => void mount("umount", "--lazy", logs) };
    const chatty = plainService("one", programs.shell(`while echo "$$ is still here" || :; do sleep 0.01; done`));
    Deno.writeFileSync(`${logs}/ballast`, new Uint8Array(60 * 1024));
    const process = await world.runner.start(chatty, never);
    await world.log.waitFor("The disk is full");
    assertStringIncludes(world.runner.notes(chatty).join(), "the disk of its log is full");
    assertEquals((await world.runner.find([chatty])).map((one) => one?.pid), [process.pid]);
    Deno.removeSync(`${logs}/ballast`);
    await world.log.waitFor("The disk has room again");
    assertEquals(world.runner.notes(chatty), []);
    assertEquals(world.log.lines.filter(({ message }) => message.includes("The disk is full")).length, 1);
    const bytes = (await world.logOf(chatty)).length;
    await eventually("more of its log", async () => (await world.logOf(chatty)).length > bytes);
    Deno.kill(process.pid, "SIGKILL");
    await within("its end", world.runner.exited(chatty, process));
    await world.succeed();
  },
);
