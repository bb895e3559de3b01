import { assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { basename, join } from "@std/path";
import { testWith } from "../testing/requirements.ts";
import { eventually } from "../testing/waiting.ts";
import { SmallExecutable } from "./fixtures/small_executable.ts";

Deno.test("what is started is what was unpacked, with the role first and every word as it was", async () => {
  using executable = await SmallExecutable.make();
  const { code, stdout } = await executable.start(["--region", "a b", "", "$(id)", "'", "*"]);
  assertEquals(code, 0);
  assertStringIncludes(stdout, "<exit><--region><a b><><$(id)><'><*> ");
  assertStringIncludes(stdout, ` from ${executable.unpacked()}/culvert as ${executable.path}\n`);
});

Deno.test("exit codes pass through", async () => {
  using executable = await SmallExecutable.make();
  for (const code of [0, 1, 2, 130]) assertEquals((await executable.start(["exit-with", String(code)])).code, code);
});

Deno.test("it is the process that was started, so that signals reach it", async () => {
  using executable = await SmallExecutable.make();
  const child = new Deno.Command(executable.path, { env: { CULVERT_CACHE_DIR: executable.cache }, stdout: "piped" });
  const process = child.spawn();
  const { stdout } = await process.output();
  assertStringIncludes(new TextDecoder().decode(stdout), ` pid ${process.pid} `);
});

Deno.test("an empty PATH, another folder, a link and a name with spaces are all the same to it", async () => {
  using executable = await SmallExecutable.make();
  const link = executable.directory.path("a link");
  await Deno.symlink(executable.path, link);
  const env = { CULVERT_CACHE_DIR: executable.directory.path("a cache"), PATH: executable.directory.path("nothing") };
  for (const [program, cwd] of [[link, "/"], ["./a link", executable.directory.path(".")]] as const) {
    const { stdout, stderr } = await new Deno.Command("/usr/bin/env", {
      args: ["-i", ...Object.entries(env).map(([name, value]) => `${name}=${value}`), program],
      cwd,
    }).output();
    assertEquals(new TextDecoder().decode(stderr), "");
    assertStringIncludes(new TextDecoder().decode(stdout), "<exit> ");
  }
});

Deno.test("many that start at once, all of them the first, unpack it once", async () => {
  using executable = await SmallExecutable.make();
  const all = await Promise.all(Array.from({ length: 12 }, () => executable.start()));
  assertEquals(all.map(({ code, stderr }) => ({ code, stderr })), all.map(() => ({ code: 0, stderr: "" })));
  assertEquals(namesIn(executable.cache), [executable.unpacked().split("/").at(-1)!, "lock"].sort());
});

Deno.test("the second start changes nothing", async () => {
  using executable = await SmallExecutable.make();
  await executable.start();
  const before = await Deno.stat(join(executable.unpacked(), "notes"));
  await executable.start();
  assertEquals((await Deno.stat(join(executable.unpacked(), "notes"))).ino, before.ino);
});

const changes: readonly { readonly name: string; change(folder: string): Promise<unknown> }[] = [
  {
    name: "bytes, with size and times as they were",
    async change(folder) {
      const path = join(folder, "code/roles/main.js");
      const { atime, mtime } = await Deno.stat(path);
      const text = await Deno.readTextFile(path);
      await Deno.writeTextFile(path, text.replace("true", "evil"));
      await Deno.utime(path, atime!, mtime!);
    },
  },
  { name: "a program in its place", change: (folder) => Deno.writeTextFile(join(folder, "culvert"), "#!/bin/sh\n") },
  { name: "a file more", change: (folder) => Deno.writeTextFile(join(folder, "code/roles/exit.js"), "evil") },
  { name: "a file less", change: (folder) => Deno.remove(join(folder, "code/roles/main.js")) },
  { name: "no notes", change: (folder) => Deno.remove(join(folder, "notes")) },
  { name: "others may write to it", change: (folder) => Deno.chmod(join(folder, "culvert"), 0o777) },
  {
    name: "half of a file, as a full disk leaves it",
    change: (folder) => Deno.truncate(join(folder, "code/roles/main.js"), 3),
  },
];

for (const { name, change } of changes) {
  Deno.test(`what was unpacked and then changed is noticed, told and made good: ${name}`, async () => {
    using executable = await SmallExecutable.make();
    await executable.start();
    const folder = executable.unpacked();
    await change(folder);
    const { code, stdout, stderr } = await executable.start();
    assertEquals(code, 0);
    assertEquals(stderr, `culvert: ${folder} was changed since it was unpacked; it is unpacked again\n`);
    assertStringIncludes(stdout, "<exit> ");
    assertEquals(await Deno.readTextFile(join(folder, "code/roles/main.js")), "export const main = true;\n");
    assertEquals(namesIn(join(folder, "code/roles")), ["main.js"]);
    assertEquals((await executable.start()).stderr, "");
  });
}

Deno.test("killed while it unpacks, it leaves nothing that the next start minds or keeps", async () => {
  using executable = await SmallExecutable.make();
  const tools = executable.directory.path("tools");
  await Deno.mkdir(tools);
  // Stands still in the middle of unpacking.
  await Deno.writeTextFile(join(tools, "tar"), '#!/bin/sh\necho half >"$4/culvert"\nexec sleep 100000\n', {
    mode: 0o755,
  });
  const child = new Deno.Command(executable.path, {
    env: { CULVERT_CACHE_DIR: executable.cache, PATH: `${tools}:/usr/bin:/bin` },
    detached: true,
  }).spawn();
  const half = join(executable.cache, "unpacking.new/culvert");
  await eventually("half is unpacked", () => Deno.stat(half).then(() => true, () => false));
  Deno.kill(-child.pid, "SIGKILL");
  assertEquals((await child.status).signal, "SIGKILL");
  assertEquals((await executable.start()).code, 0);
  assertEquals(namesIn(executable.cache).filter((name) => name.startsWith("unpacking")), []);
});

Deno.test("a file that has lost or changed a byte is not run", async () => {
  using executable = await SmallExecutable.make();
  const bytes = await Deno.readFile(executable.path);
  bytes[bytes.length - 20]! ^= 1;
  for (const damaged of [bytes, bytes.subarray(0, -1)]) {
    await Deno.writeFile(executable.path, damaged);
    const { code, stderr } = await executable.start();
    assertEquals(code, 1);
    assertEquals(stderr, `culvert: Cannot unpack: ${executable.path} is damaged; fetch it again\n`);
  }
});

Deno.test("what is held against the hash is what is unpacked, though the file is changed a moment later", async () => {
  using executable = await SmallExecutable.make();
  const tools = executable.directory.path("tools");
  await Deno.mkdir(tools);
  const { size } = await Deno.stat(executable.path);
  const change = `printf changed | dd of='${executable.path}' bs=1 seek=${size - 100} conv=notrunc status=none`;
  const sha256sum = `#!/bin/sh\n/usr/bin/sha256sum "$@" && ${change}\n`;
  await Deno.writeTextFile(join(tools, "sha256sum"), sha256sum, { mode: 0o755 });
  const { code, stdout } = await executable.start([], { PATH: `${tools}:/usr/bin:/bin` });
  assertEquals(code, 0);
  assertStringIncludes(stdout, "<exit> ");
  assertEquals((await executable.start([], { CULVERT_CACHE_DIR: executable.directory.path("another") })).code, 1);
});

Deno.test("a folder that is named and cannot be used is told of, and nothing else is tried", async () => {
  using executable = await SmallExecutable.make();
  const file = executable.directory.path("file");
  await Deno.writeTextFile(file, "");
  for (const cache of [file, "cache"]) {
    const { code, stderr } = await executable.start([], { CULVERT_CACHE_DIR: cache, HOME: "/root" });
    assertEquals(code, 1);
    assertMatch(stderr, /^culvert: Cannot unpack: no folder can be written to and run programs; name one in CULVERT_/);
  }
});

const NAMESPACE = { root: true, netns: true, tools: ["setpriv", "unshare"] };

testWith(NAMESPACE, "without a home that it can write to it takes what everybody has", async () => {
  using executable = await SmallExecutable.make();
  for (const env of [{}, { HOME: "/nonexistent" }, { HOME: "relative" }]) {
    const { code, stdout, stderr } = await executable.startAsNobody("", env);
    assertEquals([code, stderr], [0, ""]);
    assertStringIncludes(stdout, " from /var/tmp/culvert-65534/");
  }
});

testWith(NAMESPACE, "where everybody writes, what somebody else has put there is not believed", async () => {
  using executable = await SmallExecutable.make();
  await executable.start();
  const evil = executable.unpacked();
  // With notes that agree, as only whoever has made them could have them.
  const note =
    "chmod -R a+rX $at && cd $at && TZ=UTC0 find culvert code -exec stat -c '%n %F %u %a %i %s %z' '{}' + >notes";
  const put = (place: string) => `cp -a ${evil} ${place}/ && (at=${place}/${basename(evil)} && ${note})`;
  const temp = executable.directory.path("tmp");
  const own = "/var/tmp/culvert-65534";
  const plants = {
    "a folder of another's": `mkdir ${own} && ${put(own)}`,
    "a link to one": `mkdir /var/tmp/evil && ${put("/var/tmp/evil")} && ln -s /var/tmp/evil ${own}`,
    "a link to one's own, which could lead elsewhere a moment later": "mkdir /var/tmp/mine && " +
      `cp -a ${evil} /var/tmp/mine/ && chown -R 65534 /var/tmp/mine && (at=/var/tmp/mine/${
        basename(evil)
      } && ${note}) && ` +
      `ln -s /var/tmp/mine ${own}`,
    "one that is open to all": `install -d -m 777 ${own} && ${put(own)}`,
  };
  for (const [name, plant] of Object.entries(plants)) {
    const { code, stdout } = await executable.startAsNobody(`install -d -m 1777 ${temp} && ${plant}`, { TMPDIR: temp });
    assertEquals(code, 0, name);
    assertStringIncludes(stdout, ` from ${temp}/culvert-65534/`, name);
  }
});

testWith(NAMESPACE, "what root has unpacked for everybody is there for those who can write nowhere", async () => {
  using executable = await SmallExecutable.make();
  const common = `env -i ${executable.path} >/dev/null && mount -o remount,ro /var/tmp`;
  const { code, stdout, stderr } = await executable.startAsNobody(common, { TMPDIR: "/nonexistent" });
  assertEquals([code, stderr], [0, ""]);
  assertStringIncludes(stdout, " from /var/cache/culvert/");
});

const common = "/var/cache/culvert";

/** In the common place: what somebody could have put there whose program root must not run, with notes that agree. */
const commonPlants: Readonly<Record<string, string>> = {
  "a folder of another's, as CacheDirectory= of a unit with User= leaves it": `chown -R 1234 ${common}`,
  "a folder of root's in one of another's": `chown 1234 ${common}`,
  "a folder of another's in one of root's": `chown 1234 ${common}/*`,
  "a program of another's": `chown 1234 ${common}/*/culvert`,
  "a program that a group may write to": `chmod g+w ${common}/*/culvert`,
  "notes of another's": `chown 1234 ${common}/*/notes`,
  "a folder that all may write to": `chmod 777 ${common}/*`,
  "a place that all may write to": `chmod 1777 ${common}`,
  "a place that is a link": `mv ${common} /var/tmp/evil && ln -s /var/tmp/evil ${common}`,
  "code that is a link":
    `mv ${common}/*/code /var/tmp/code && chown -R 1234 /var/tmp/code && ln -s /var/tmp/code ${common}/*/`,
};

for (const [name, change] of Object.entries(commonPlants)) {
  testWith(NAMESPACE, `in the common place nothing is believed that others could have put there: ${name}`, async () => {
    using executable = await SmallExecutable.make();
    const plant = [
      `env -i ${executable.path} >/dev/null`,
      `printf '#!/bin/sh\\necho evil\\n' >"$(echo ${common}/*/culvert)"`,
      change,
      `(cd ${common}/*/ && TZ=UTC0 find culvert code -exec stat -c '%n %F %u %a %i %s %z' '{}' + | cat >notes)`,
    ].join(" && ");
    for (const as of ["startAsRoot", "startAsNobody"] as const) {
      const { code, stdout } = await executable[as](plant, {});
      assertEquals(code, 0, as);
      assertMatch(stdout, /^<exit> .* from \/var\/(cache\/culvert|tmp\/culvert-\d+)\//, as);
    }
  });
}

testWith(NAMESPACE, "a unit's user has the common place to itself where it is the unit's own", async () => {
  using executable = await SmallExecutable.make();
  const { code, stdout } = await executable.startAsNobody(`install -d -o 65534 ${common}`, { CACHE_DIRECTORY: common });
  assertEquals(code, 0);
  assertStringIncludes(stdout, ` from ${common}/`);
});

testWith(
  NAMESPACE,
  "a cache that can only be read is as good once it is filled, and left alone while it is not",
  async () => {
    using executable = await SmallExecutable.make();
    const cache = executable.directory.path("home/culvert");
    await Deno.mkdir(cache, { recursive: true });
    const env = { XDG_CACHE_HOME: executable.directory.path("home") };
    const readOnly =
      `mount --bind ${env.XDG_CACHE_HOME} ${env.XDG_CACHE_HOME} && mount -o remount,ro,bind ${env.XDG_CACHE_HOME}`;
    await Deno.chown(cache, 65534, 65534);
    assertStringIncludes((await executable.startAsNobody(readOnly, env)).stdout, " from /var/tmp/culvert-65534/");
    assertStringIncludes((await executable.startAsNobody("", env)).stdout, ` from ${cache}/`);
    const { code, stdout, stderr } = await executable.startAsNobody(readOnly, env);
    assertEquals([code, stderr], [0, ""]);
    assertStringIncludes(stdout, ` from ${cache}/`);
  },
);

testWith(NAMESPACE, "a folder in which no programs run is passed over", async () => {
  using executable = await SmallExecutable.make();
  const place = executable.directory.path("noexec");
  await Deno.mkdir(place);
  const { code, stdout } = await executable.startAsNobody(`mount -t tmpfs -o noexec,mode=1777 none ${place}`, {
    XDG_CACHE_HOME: place,
  });
  assertEquals(code, 0);
  assertStringIncludes(stdout, " from /var/tmp/culvert-65534/");
});

testWith(NAMESPACE, "root keeps what it runs where only root writes, whatever HOME is", async () => {
  using executable = await SmallExecutable.make();
  const home = executable.directory.path("home");
  await Deno.mkdir(home);
  const { stdout } = await executable.startAsRoot("", { HOME: home });
  assertStringIncludes(stdout, " from /var/cache/culvert/");
  assertEquals(namesIn(home), []);
});

Deno.test("the same content makes the same file", async () => {
  using one = await SmallExecutable.make();
  using two = await SmallExecutable.make();
  assertNotEquals(one.path, two.path);
  assertEquals(await Deno.readFile(one.path), await Deno.readFile(two.path));
});

function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}
