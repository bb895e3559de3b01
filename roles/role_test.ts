import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { z } from "zod";
import { CulvertError } from "../protocol/errors.ts";
import { ConfigError } from "./config.ts";
import { FakeHost } from "./fixtures/fake_host.ts";
import { role as listener } from "./fixtures/listener.ts";
import { defineRole, type Role, type RoleContext, runRole, startRole } from "./role.ts";

type Behaviour = (context: RoleContext) => Promise<void>;

function fake(run: Behaviour, longRunning = true): Role {
  return defineRole({
    name: "fake",
    summary: "Does what a test says.",
    config: z.object({ size: z.number().default(1).describe("How big.") }),
    examples: ["culvert fake"],
    longRunning,
    run: (_config, context) => run(context),
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  signal.addEventListener("abort", () => resolve(), { once: true });
  return promise;
}

/** Starts a role that says when it runs. */
function running(host: FakeHost, behaviour: Behaviour, args: string[] = []) {
  const started = Promise.withResolvers<RoleContext>();
  const role = fake(async (context) => {
    context.ready({ addresses: { listen: "127.0.0.1:1" } });
    started.resolve(context);
    await behaviour(context);
  });
  return { code: runRole(role, args, { host, roles: ["fake"] }), started: started.promise };
}

function logLines(host: FakeHost): Record<string, unknown>[] {
  return host.logged.trim().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

Deno.test("--help goes to standard output and is no failure", async () => {
  const host = new FakeHost();
  assertEquals(await runRole(fake(() => Promise.reject(new Error("ran"))), ["--size", "x", "-h"], { host }), 0);
  assertMatch(host.out, /^Usage: culvert fake \[flags\]\n/);
  for (const flag of ["--size number", "--metrics-listen host:port", "--drain-timeout duration", "-h, --help"]) {
    assertStringIncludes(host.out, flag);
  }
  assertEquals(host.complaints, "");
});

Deno.test("wrong settings exit with 2 and a hint", async () => {
  const host = new FakeHost({ CULVERT_LOG_LEVEL: "loud" });
  assertEquals(await runRole(fake(() => Promise.reject(new Error("ran"))), ["--size", "x"], { host }), 2);
  assertEquals(
    host.complaints,
    `Cannot start fake: --size must be a number, got "x"\n` +
      `Cannot start fake: CULVERT_LOG_LEVEL must be one of debug, info, warn, error, got "loud"\n` +
      `Run "culvert fake --help" for every flag.\n`,
  );
  assertEquals([host.out, host.logged], ["", ""]);
});

Deno.test("a role that does one thing prints it and ends with 0", async () => {
  const host = new FakeHost();
  const role = fake((context) => Promise.resolve(context.print("done")), false);
  assertEquals(await runRole(role, [], { host }), 0);
  assertEquals(host.out, "done\n");
  assertEquals(host.listeners, 0);
});

Deno.test("a role that ends unread ends well when nobody reads what it prints, and no other does", async () => {
  for (const endsUnread of [true, false]) {
    const host = new FakeHost();
    const wasStopped: boolean[] = [];
    const run: Behaviour = ({ print, signal }) => {
      print("read");
      host.isRead = false;
      print("unread");
      wasStopped.push(signal.aborted);
      signal.throwIfAborted();
      return Promise.resolve();
    };
    assertEquals(await runRole({ ...fake(run, false), endsUnread }, [], { host }), 0);
    assertEquals([host.out, wasStopped], ["read\n", [endsUnread]]);
  }
});

Deno.test("the ready line is said once, for people or as JSON", async () => {
  const addresses = { listen: "127.0.0.1:1080", dns: "127.0.0.1:53", far: "http://far.example/" };
  const info = { addresses, words: { far: "come with --far" }, note: "2 paths" };
  const role = fake((context) => {
    context.ready(info);
    context.ready(info);
    return Promise.resolve();
  });
  const host = new FakeHost();
  await runRole(role, [], { host });
  assertEquals(
    host.out,
    "ready  fake  listening on 127.0.0.1:1080, dns on 127.0.0.1:53, come with --far http://far.example/, 2 paths\n",
  );
  const jsonHost = new FakeHost();
  await runRole(role, ["--json"], { host: jsonHost });
  assertEquals(JSON.parse(jsonHost.out), { ready: true, role: "fake", addresses: info.addresses });
});

Deno.test("a failure is one clear line and exit code 1; the stack is for --log-level debug", async () => {
  const role = fake(() => Promise.reject(new CulvertError("cannot_listen", "Cannot listen: the port is taken")));
  const host = new FakeHost();
  assertEquals(await runRole(role, [], { host }), 1);
  const [line, ...more] = logLines(host);
  assertEquals([line?.message, line?.code, line?.level, more], [
    "Cannot listen: the port is taken",
    "cannot_listen",
    "error",
    [],
  ]);
  const debugHost = new FakeHost();
  await runRole(role, ["--log-level", "debug"], { host: debugHost });
  assert(logLines(debugHost).slice(1).every(({ level }) => level === "debug"));
  assertStringIncludes(debugHost.logged, "role_test.ts");
});

Deno.test("logs are text on a terminal, JSON elsewhere, and what is asked for always", async (t) => {
  const rows = [
    // deno-lint-ignore no-control-regex -- colour is made of control characters
    { name: "a terminal", terminal: true, args: [], env: {}, want: /^\x1b\[2m\d\d:\d\d:\d\d\x1b\[0m \x1b\[32mINFO / },
    {
      name: "NO_COLOR",
      terminal: true,
      args: [],
      env: { NO_COLOR: "1" },
      want: /^\d\d:\d\d:\d\d INFO {2}fake {5}hi\n/,
    },
    { name: "a pipe", terminal: false, args: [], env: {}, want: /^\{"time":/ },
    { name: "--json", terminal: true, args: ["--json"], env: {}, want: /^\{"time":/ },
    {
      name: "text in a pipe",
      terminal: false,
      args: ["--log-format=text"],
      env: {},
      want: /^\d\d:\d\d:\d\d INFO {2}fake/,
    },
    { name: "JSON on a terminal", terminal: true, args: ["--log-format=json"], env: {}, want: /^\{"time":/ },
  ];
  for (const { name, terminal, args, env, want } of rows) {
    await t.step(name, async () => {
      const host = new FakeHost(env);
      host.logIsTerminal = terminal;
      await runRole(fake((context) => Promise.resolve(context.log.info("hi"))), args, { host });
      assertMatch(host.logged, want);
    });
  }
});

Deno.test("a stop signal drains, and a role that ends by itself exits with 0", async () => {
  const host = new FakeHost();
  const { code, started } = running(host, ({ signal }) => aborted(signal));
  const context = await started;
  host.sendStop();
  assertEquals([context.signal.aborted, context.hardSignal.aborted], [true, false]);
  assertEquals(await code, 0);
  assertEquals([host.listeners, host.clock.pendingTimers], [0, 0]);
});

Deno.test("a role that rejects with the reason of the stop has stopped well", async () => {
  const host = new FakeHost();
  const { code, started } = running(host, async ({ signal }) => {
    await aborted(signal);
    signal.throwIfAborted();
  });
  await started;
  host.sendStop();
  assertEquals(await code, 0);
});

Deno.test("what has not drained in time is cut", async () => {
  const host = new FakeHost();
  const { code, started } = running(host, ({ hardSignal }) => aborted(hardSignal), ["--drain-timeout", "5s"]);
  const context = await started;
  host.sendStop();
  host.clock.advance(4999);
  assertEquals(context.hardSignal.aborted, false);
  host.clock.advance(1);
  assertEquals(await code, 0);
  assertStringIncludes(host.logged, "Cutting what has not ended by itself");
});

Deno.test("a role that does not end even when cut is given up with 1", async () => {
  const host = new FakeHost();
  const { code, started } = running(host, () => new Promise(() => {}), ["--drain-timeout", "5s"]);
  await started;
  host.sendStop();
  host.clock.advance(5000);
  host.clock.advance(3000);
  assertEquals(await code, 1);
});

Deno.test("a second signal ends at once with 130", async () => {
  const host = new FakeHost();
  const { code, started } = running(host, () => new Promise(() => {}));
  await started;
  host.sendStop();
  host.clock.advance(500);
  host.sendStop();
  assertEquals(await code, 130);
});

Deno.test("a second signal cuts everything before the process ends", async () => {
  const host = new FakeHost();
  let wasCut = false;
  const { code, started } = running(host, ({ hardSignal }) => {
    hardSignal.addEventListener("abort", () => wasCut = true);
    return new Promise(() => {});
  });
  await started;
  host.sendStop();
  host.clock.advance(500);
  assertEquals(wasCut, false);
  host.sendStop();
  assertEquals([wasCut, await code], [true, 130]);
});

Deno.test("one Ctrl-C that arrives twice, from the terminal and from a launcher, drains", async () => {
  const host = new FakeHost();
  const { code, started } = running(host, ({ hardSignal }) => aborted(hardSignal), ["--drain-timeout", "5s"]);
  const context = await started;
  host.sendStop();
  host.clock.advance(400);
  host.sendStop();
  assertEquals([context.signal.aborted, context.hardSignal.aborted], [true, false]);
  host.clock.advance(4600);
  assertEquals(await code, 0);
});

Deno.test("settings that are found wrong only when the role runs exit with 2", async () => {
  const host = new FakeHost();
  const { code } = running(host, () => Promise.reject(new ConfigError("start it", ["--a must be b"])));
  assertEquals(await code, 2);
  assertStringIncludes(host.logged, "Cannot start it: --a must be b");
});

Deno.test("an error that nothing caught cuts the role, says so once and exits with 1", async () => {
  const host = new FakeHost();
  const { code, started } = running(host, ({ hardSignal }) => aborted(hardSignal));
  await started;
  host.sendUncaught(new TypeError("x is not a function"));
  assertEquals(await code, 1);
  assertEquals(logLines(host).map(({ message }) => message), ["x is not a function"]);
});

Deno.test("--metrics-listen serves metrics and readiness, and closes with the role", async () => {
  const host = new FakeHost();
  let open = false;
  const { code, started } = running(host, async (context) => {
    context.metrics.counter("things_total", "Things").add(3);
    context.check("link", () => open ? undefined : "No link is up");
    await aborted(context.signal);
  }, ["--metrics-listen", "127.0.0.1:0", "--json"]);
  await started;
  const base = `http://${JSON.parse(host.out).addresses.metrics}`;
  const text = await (await fetch(`${base}/metrics`)).text();
  assertStringIncludes(text, "\nthings_total 3\n");
  assertStringIncludes(text, "\nprocess_cpu_seconds_total 1.5\n");
  const notReady = await fetch(`${base}/readyz`);
  assertEquals([notReady.status, await notReady.json()], [503, { ready: false, failing: { link: "No link is up" } }]);
  open = true;
  const ready = await fetch(`${base}/readyz`);
  assertEquals([ready.status, await ready.json()], [200, { ready: true, failing: {} }]);
  host.sendStop();
  assertEquals(await code, 0);
  await assertRejects(() => fetch(`${base}/healthz`));
});

Deno.test("a metrics address that is taken is a clear failure", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const host = new FakeHost();
  const at = `127.0.0.1:${taken.addr.port}`;
  assertEquals(await runRole(fake(() => Promise.resolve()), ["--metrics-listen", at], { host }), 1);
  assertStringIncludes(host.logged, `Cannot serve metrics on --metrics-listen ${at}: another program has this port`);
});

Deno.test("the state directory is the one given, or the home's", async () => {
  const directories: string[] = [];
  const role = fake((context) => Promise.resolve(void directories.push(context.stateDir)));
  await runRole(role, ["--state-dir", "/a"], { host: new FakeHost({ HOME: "/home/me" }) });
  await runRole(role, [], { host: new FakeHost({ XDG_STATE_HOME: "/s", HOME: "/home/me" }) });
  await runRole(role, [], { host: new FakeHost({ HOME: "/home/me" }) });
  assertEquals(directories, ["/a", "/s/culvert", "/home/me/.local/state/culvert"]);
});

Deno.test("roles run beside each other inside one process", async () => {
  const config = listener.config.parse({});
  await using one = startRole(listener, config);
  await using two = startRole(listener, config);
  const addresses = [await one.ready, await two.ready].map((info) => info.addresses.listen);
  assert(addresses[0] !== addresses[1]);
  assertEquals(one.readiness(), { ready: true, failing: {} });
  await one.stop();
  assertEquals(one.readiness().ready, false);
  assertEquals(two.readiness().ready, true);
});

Deno.test("disposing a running role cuts one that would not stop by itself", async () => {
  await using stubborn = startRole(listener, listener.config.parse({ stubborn: true }));
  await stubborn.ready;
});

Deno.test("a role started in-process that fails says so to whoever waits for it", async () => {
  const failing = startRole(fake(() => Promise.reject(new Error("no"))), { size: 1 });
  await assertRejects(() => failing.ready, Error, "no");
  await assertRejects(() => failing.done, Error, "no");
  const ending = startRole(fake(() => Promise.resolve()), { size: 1 });
  await assertRejects(() => ending.ready, CulvertError, "The role fake ended before it was ready");
  await ending.done;
});

/** Runs the listener as a real process, up to its ready line. */
async function spawnListener(args: string[]) {
  const file = new URL("./fixtures/listener.ts", import.meta.url);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", file.href, ...args],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let out = "";
  while (!out.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) break;
    out += value;
  }
  return { child, ready: out, rest: () => reader.cancel() };
}

Deno.test({
  name: "a real process is ready, stops on SIGTERM with 0 and frees its port",
  ignore: Deno.build.os === "windows", // it has no SIGTERM
  async fn() {
    const { child, ready, rest } = await spawnListener([]);
    const [, port] = /^ready {2}listener {2}listening on 127\.0\.0\.1:(\d+)\n$/.exec(ready)!;
    (await Deno.connect({ hostname: "127.0.0.1", port: Number(port) })).close();
    child.kill("SIGTERM");
    assertEquals((await child.status).code, 0);
    await rest();
    assertStringIncludes(
      await new Response(child.stderr).text(),
      `"message":"Stopping; a second signal stops at once"`,
    );
    Deno.listen({ hostname: "127.0.0.1", port: Number(port) }).close();
  },
});

Deno.test({
  name: "a real process that will not stop ends at the second SIGINT with 130",
  ignore: Deno.build.os === "windows", // it cannot be sent SIGINT
  async fn() {
    const { child, rest } = await spawnListener(["--stubborn"]);
    child.kill("SIGINT");
    const lines = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
    assertStringIncludes((await lines.read()).value ?? "", "Stopping");
    const again = setInterval(() => child.kill("SIGINT"), 100); // those right after the first are one wish with it
    assertEquals((await child.status).code, 130);
    clearInterval(again);
    await Promise.all([rest(), lines.cancel()]);
  },
});
