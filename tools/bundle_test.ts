/** One bundle is made for all of it, in a few seconds, and run where there is nothing but it, without a network. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { basename, fromFileUrl, join } from "@std/path";
import { NetLab, type NetNamespace } from "../testing/netns.ts";
import { linesOf } from "../testing/program.ts";
import { requires, withNeeds } from "../testing/requirements.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { eventually, within } from "../testing/waiting.ts";
import { bundleCode, filesIn, MAIN } from "./code_bundle.ts";
import { compileWords } from "./compile_command.ts";
import { executablesOf } from "./executables.ts";
import { writeExecutables } from "./self_extracting.ts";
import { workerUrls } from "./worker_modules.ts";

const ROOT = fromFileUrl(new URL("../", import.meta.url));

/** Several times what it takes on a machine under load: a hundred megabytes are packed and unpacked. */
const TIME_LIMIT_MS = 180_000;

const NAME = "executables run where there is neither Deno nor Node nor a network";
Deno.test({ ...withNeeds(requires({ root: true, netns: true }), NAME, runWithNothing), timeout: TIME_LIMIT_MS });

async function runWithNothing(test: Deno.TestContext): Promise<void> {
  using directory = new TempDirectory();
  const content = directory.path("content");
  await Deno.mkdir(join(content, "code"), { recursive: true });
  await bundleCode(ROOT, join(content, "code"));
  await test.step("every Worker's module is where the code says", () => checkWorkers(join(content, "code")));
  await test.step("nothing tells where it was made", () => checkPlaces(join(content, "code")));
  await test.step("deno compile takes in every file", () =>
    checkCompiled(join(content, "code"), directory.path("compiled")));
  await Deno.copyFile(Deno.execPath(), join(content, "culvert"));
  const out = directory.path("out");
  const executables = [...executablesOf([], least), ...executablesOf(["exit", "supernode"], least)];
  await writeExecutables(executables, { content, out, level: 1 });

  await using lab = await NetLab.open();
  const machine = new Machine(await lab.namespace("boxes"), directory);
  await test.step("one of all roles says its versions", async () => {
    const { code, stdout } = await machine.run(["culvert", "version", "--json"]);
    assertEquals([code, JSON.parse(stdout).deno], [0, Deno.version.deno]);
  });
  await test.step("wrong settings exit with 2, in one of one role too", async () => {
    const { code, stderr } = await machine.run(["culvert-exit", "--regoin", "x"]);
    assertEquals(code, 2);
    assertStringIncludes(stderr, "--regoin is not a flag; did you mean --region?");
  });
  await test.step("what one of one role was not made for exits with 2 and says how to make one that may", async () => {
    const supernode = ["--supernode", "https://abcdefghijklmnopqrstuvwxya@192.0.2.1:8450/"];
    const { code, stderr } = await machine.run(["culvert-exit", "--tun", "--region", "x", ...supernode]);
    assertEquals(code, 2, stderr);
    const how = "make one by deno task bundle exit --allow-all";
    assertStringIncludes(stderr, `Cannot start exit: this executable was made without the right to --tun; ${how}`);
  });
  await test.step("an exit finds its supernode; both stop when asked, and start again after a crash", async () => {
    for (const signal of ["SIGKILL", "SIGTERM"] as const) await runPair(machine, signal);
  });
  await test.step("Workers and foreign functions are in it: a supernode relays packets, a network runs", async () => {
    await using supernode = machine.start(
      ["culvert", "supernode", "--region", "x", "--listen", "127.0.0.1:0"],
      "relaying",
    );
    await supernode.ready;
    assertEquals(await supernode.stop("SIGTERM"), 0);
    assert(!supernode.log.includes("Packets are not relayed"), supernode.log);
    await using up = machine.start(["culvert", "up", "--listen", "127.0.0.1:0"], "up");
    await up.ready;
    assertEquals(await up.stop("SIGINT"), 0);
  });
  await test.step("what the manager runs is the same file", () => runManaged(machine, directory));
}

const least = { mayDoAll: false };

async function runPair(machine: Machine, signal: Deno.Signal): Promise<void> {
  await using supernode = machine.start(["culvert-supernode", "--region", "x", "--listen", "127.0.0.1:0"], "supernode");
  const at = /--supernode (\S+)/.exec(await supernode.ready)?.[1];
  await using exit = machine.start(["culvert-exit", "--region", "x", "--supernode", at!], "exit");
  assertMatch(await exit.ready, /^ready {2}exit/);
  const expected = signal === "SIGKILL" ? 128 + 9 : 0;
  assertEquals(await exit.stop(signal), expected, exit.log);
  assertEquals(await supernode.stop(signal), expected, supernode.log);
}

async function runManaged(machine: Machine, directory: TempDirectory): Promise<void> {
  const [services, run, logs] = ["services", "run", "logs"].map((name) => directory.path(name)) as [
    string,
    string,
    string,
  ];
  await Deno.mkdir(services);
  // Services get few variables of the manager's, so that this one is told where to unpack by itself.
  const text =
    `role = "proxy"\nflags = ["--listen", "127.0.0.1:0"]\n[environment]\nCULVERT_CACHE_DIR = "${machine.cache}"\n`;
  await Deno.writeTextFile(join(services, "way.toml"), text);
  await using manager = machine.start(
    ["culvert", "manager", "--services", services, "--run-dir", run, "--log-dir", logs],
    "manager",
  );
  await manager.ready;
  const log = () => [...Deno.readDirSync(logs)].map(({ name }) => Deno.readTextFileSync(join(logs, name))).join("");
  await eventually("a service that is ready", () => log().includes("ready  proxy"), { instead: log });
  assertEquals(await manager.stop("SIGTERM"), 0, manager.log);
}

/** A machine with a few of Debian's own tools, and nothing on its PATH, no home and no network. */
class Machine {
  readonly #namespace: NetNamespace;
  readonly #directory: TempDirectory;

  constructor(namespace: NetNamespace, directory: TempDirectory) {
    this.#namespace = namespace;
    this.#directory = directory;
  }

  get cache(): string {
    return this.#directory.path("cache");
  }

  async run(words: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    return await this.#namespace.run(this.#command(words), { mayFail: true });
  }

  /** Starts a role that keeps its state in the folder of that name. */
  start(words: readonly string[], stateName: string): RunningExecutable {
    const [program, ...args] = this.#command([...words, "--state-dir", this.#directory.path(stateName)]);
    return new RunningExecutable(this.#namespace.spawn([program!, ...args], { stdout: "piped", stderr: "piped" }));
  }

  #command([name, ...args]: readonly string[]): string[] {
    const cache = `CULVERT_CACHE_DIR=${this.cache}`;
    return [
      "/usr/bin/env",
      "-i",
      `PATH=${this.#directory.path("nothing")}`,
      cache,
      this.#directory.path(`out/${name}`),
      ...args,
    ];
  }
}

class RunningExecutable implements AsyncDisposable {
  readonly ready: Promise<string>;
  log = "";
  readonly #child: Deno.ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(child: Deno.ChildProcess) {
    this.#child = child;
    const [first, rest] = this.#readReady(child.stdout);
    this.ready = within("a ready line", first, { instead: () => this.log });
    this.ready.catch(() => {}); // told to who waits
    this.#ended = Promise.all([rest, this.#readLog(child.stderr), child.status]);
  }

  /** Gives the exit code. */
  async stop(signal: Deno.Signal): Promise<number> {
    this.#child.kill(signal);
    await within("its end", this.#ended, { instead: () => this.log });
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await this.#ended;
  }

  #readReady(stream: ReadableStream<Uint8Array<ArrayBuffer>>): [Promise<string>, Promise<void>] {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const read = async () => {
      for await (const line of stream.pipeThrough(new TextDecoderStream()).pipeThrough(linesOf())) {
        if (line.startsWith("ready  ")) resolve(line);
      }
      reject(new Error(`It has ended without being ready\n${this.log}`));
    };
    return [promise, read()];
  }

  async #readLog(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) this.log += text;
  }
}

async function checkWorkers(code: string): Promise<void> {
  assert(filesIn(code).includes(MAIN));
  let count = 0;
  for (const file of filesIn(code)) {
    for (const name of workerUrls(await Deno.readTextFile(join(code, file)))) {
      const beside = join(code, file, "..", name);
      const [, target] = /^import "(.+)";\n$/.exec(await Deno.readTextFile(beside))!;
      assert((await Deno.stat(join(beside, "..", target!))).isFile);
      count++;
    }
  }
  assert(count >= 6, `there must be Workers in it, got ${count}`);
}

/** The file cannot run: in place of the runtime, which would have to be fetched, is the Deno that there is. */
async function checkCompiled(code: string, out: string): Promise<void> {
  const [exit] = executablesOf(["exit"], least);
  const args = compileWords(exit!, { target: "x86_64-unknown-linux-gnu", code, out });
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    env: { DENORT_BIN: Deno.execPath() },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  const all = await Deno.readFile(args[args.indexOf("--output") + 1]!);
  const added = new TextDecoder("latin1").decode(all.subarray((await Deno.stat(Deno.execPath())).size));
  // Its list of files has them by name.
  const names = new Set([...added.matchAll(/"n":"([^"]+)"/g)].map(([, name]) => name));
  assertEquals(filesIn(code).map((file) => basename(file)).filter((name) => !names.has(name)), []);
  await Deno.remove(out, { recursive: true });
}

async function checkPlaces(code: string): Promise<void> {
  for (const file of filesIn(code)) {
    const text = await Deno.readTextFile(join(code, file));
    assertEquals(/^.*(\.cache\/deno|registry\.npmjs).*$/m.exec(text)?.[0], undefined, file);
  }
}
