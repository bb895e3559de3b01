import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { CulvertError } from "../protocol/errors.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { StateDirectory } from "./state.ts";
import { defaultStateDirectory } from "./state_location.ts";
import { TempDirectory } from "../testing/temp_directory.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array | undefined) => bytes && new TextDecoder().decode(bytes);
const modeOf = (path: string) => Deno.statSync(path).mode! & 0o777;

Deno.test("the state directory is the first one that is named", () => {
  const rows: { name: string; env: Record<string, string>; isRoot?: boolean; path: string }[] = [
    { name: "ours", env: { CULVERT_STATE_DIR: "/a", STATE_DIRECTORY: "/b", HOME: "/h" }, path: "/a" },
    { name: "systemd's", env: { STATE_DIRECTORY: "/b:/c", XDG_STATE_HOME: "/x" }, isRoot: true, path: "/b" },
    { name: "root's", env: { HOME: "/root", XDG_STATE_HOME: "/x" }, isRoot: true, path: "/var/lib/culvert" },
    { name: "XDG's", env: { XDG_STATE_HOME: "/x", HOME: "/h" }, path: "/x/culvert" },
    { name: "the home's", env: { HOME: "/h", CULVERT_STATE_DIR: "" }, path: "/h/.local/state/culvert" },
    { name: "of somebody without a home", env: {}, path: ".culvert" },
  ];
  for (const { name, env, isRoot = false, path } of rows) {
    assertEquals(defaultStateDirectory({ env: (key) => env[key], isRoot }), path, name);
  }
});

Deno.test("the directory is made with mode 0700 and its files with 0600, whatever the umask allows", async () => {
  using temp = new TempDirectory();
  const state = await StateDirectory.open(temp.path("deep/er/state"));
  assertEquals(modeOf(state.path), 0o700);
  using lock = await state.lock({ clock: new FakeClock() });
  await lock.create("made", encode("1"));
  await lock.replace("put", encode("2"));
  for (const name of ["made", "put", ".lock"]) assertEquals(modeOf(state.pathOf(name)), 0o600, name);
  assertEquals(await state.names(), ["made", "put"]);
});

Deno.test("a file is made once, and replaced only when that is asked for", async () => {
  using temp = new TempDirectory();
  const state = await StateDirectory.open(temp.path("state"));
  assertEquals(await state.read("key"), undefined);
  using lock = await state.lock({ clock: new FakeClock() });
  await lock.create("key", encode("first"));
  const error = await assertRejects(() => lock.create("key", encode("second")), CulvertError, "never overwritten");
  assertEquals(error.code, "exists");
  assertEquals(decode(await state.read("key")), "first");
  await lock.replace("key", encode("third"));
  assertEquals(decode(await state.read("key")), "third");
  assertEquals([...Deno.readDirSync(state.path)].map(({ name }) => name).sort(), [".lock", "key"]);
});

Deno.test("a key that others may read is refused, with the command that mends it", async () => {
  using temp = new TempDirectory();
  const state = await StateDirectory.open(temp.path("my state"));
  for (const mode of [0o640, 0o604, 0o660, 0o601]) {
    await Deno.writeFile(state.pathOf("key"), encode("secret"));
    await Deno.chmod(state.pathOf("key"), mode);
    const error = await assertRejects(() => state.read("key"), CulvertError, `got 0${mode.toString(8)}`);
    assertEquals(error.code, "insecure_file");
    assertStringIncludes(error.message, `chmod 600 '${state.pathOf("key")}'`);
  }
  await Deno.chmod(state.pathOf("key"), 0o400);
  assertEquals(decode(await state.read("key")), "secret");
});

Deno.test("a directory that others may write to is refused, one they may look into is not", async () => {
  using temp = new TempDirectory();
  const path = temp.path("state");
  await Deno.mkdir(path);
  for (const mode of [0o777, 0o770, 0o702]) {
    await Deno.chmod(path, mode);
    const error = await assertRejects(() => StateDirectory.open(path), CulvertError, "chmod 700");
    assertEquals(error.code, "insecure_directory");
  }
  await Deno.chmod(path, 0o755); // what systemd makes by default
  await StateDirectory.open(path);
});

Deno.test("what is no directory, or no file, or far too long, is refused", async () => {
  using temp = new TempDirectory();
  await Deno.writeFile(temp.path("file"), encode(""));
  await assertRejects(() => StateDirectory.open(temp.path("file")), CulvertError, "must be a directory");
  const state = await StateDirectory.open(temp.path("state"));
  await Deno.mkdir(state.pathOf("key"), { mode: 0o700 });
  await assertRejects(() => state.read("key"), CulvertError, "must be a file");
  await Deno.writeFile(state.pathOf("long"), new Uint8Array(70_000), { mode: 0o600 });
  await assertRejects(() => state.read("long"), CulvertError, "at most 65536 bytes, got 70000");
});

Deno.test("only one at a time holds the lock; the next gets it when it is given back", async () => {
  using temp = new TempDirectory();
  const clock = new FakeClock();
  const one = await StateDirectory.open(temp.path("state"));
  const other = await StateDirectory.open(temp.path("state"));
  const held = await one.lock({ clock });
  let got = false;
  const waiting = other.lock({ clock }).then((lock) => (got = true, lock));
  while (clock.pendingTimers === 0) await one.read("nothing"); // until it has tried and waits
  clock.advance(20);
  while (clock.pendingTimers === 0) await one.read("nothing");
  assert(!got);
  held[Symbol.dispose]();
  clock.advance(20);
  using _lock = await waiting;
  await assertRejects(() => held.create("late", encode("")), CulvertError, "the lock was given back");
});

Deno.test("waiting for the lock can be aborted", async () => {
  using temp = new TempDirectory();
  const clock = new FakeClock();
  const state = await StateDirectory.open(temp.path("state"));
  using _held = await state.lock({ clock });
  const controller = new AbortController();
  const waiting = state.lock({ clock, signal: controller.signal });
  while (clock.pendingTimers === 0) await state.read("nothing");
  controller.abort(new Error("enough"));
  await assertRejects(() => waiting, Error, "enough");
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("what a killed writer left, at any step, is cleared away and harms nothing", async () => {
  using temp = new TempDirectory();
  const clock = new FakeClock();
  const state = await StateDirectory.open(temp.path("state"));
  const steps: { name: string; leave: (temp: string, file: string) => void; key: string | undefined }[] = [
    { name: "temp made, nothing written", leave: (temp) => Deno.writeFileSync(temp, encode("")), key: undefined },
    { name: "half written", leave: (temp) => Deno.writeFileSync(temp, encode("ne")), key: undefined },
    { name: "written, not named", leave: (temp) => Deno.writeFileSync(temp, encode("new")), key: undefined },
    {
      name: "named, temp not removed",
      leave(temp, file) {
        Deno.writeFileSync(temp, encode("new"), { mode: 0o600 });
        Deno.linkSync(temp, file);
      },
      key: "new",
    },
  ];
  for (const { name, leave, key } of steps) {
    leave(state.pathOf(".key.tmp"), state.pathOf("key"));
    assertEquals(decode(await state.read("key")), key, name);
    using lock = await state.lock({ clock });
    if (key === undefined) await lock.create("key", encode("mine"));
    assertEquals(decode(await state.read("key")), key ?? "mine", name);
    assertEquals(Array.from(Deno.readDirSync(state.path), (entry) => entry.name).sort(), [".lock", "key"], name);
    await Deno.remove(join(state.path, "key"));
  }
});
