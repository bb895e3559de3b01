import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { join } from "@std/path";
import fc from "fast-check";
import type { EgressPolicy } from "../protocol/egress_policy.ts";
import { CulvertError } from "../protocol/errors.ts";
import { parseIp } from "../protocol/ip.ts";
import type { Log } from "../protocol/log.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { Changes } from "../testing/waiting.ts";
import { loadPolicy, parsePolicy, type WatchedPolicy, watchPolicy } from "./policy.ts";

/** A directory with a policy file, gone when the test ends. */
async function policyFile(text: string) {
  const directory = await Deno.makeTempDir({ prefix: "culvert-policy-" });
  const path = join(directory, "policy.toml");
  await Deno.writeTextFile(path, text);
  return { path, directory, [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }) };
}

/** A log whose lines can be waited for. */
class LogLines implements Log {
  readonly lines: string[] = [];
  readonly #changes = new Changes();

  async until(part: string): Promise<string> {
    const find = () => this.lines.find((line) => line.includes(part));
    await this.#changes.until(() => find() !== undefined, `a line with "${part}"`, () => this.lines.join("\n"));
    return find()!;
  }

  debug(): void {}
  info = (message: string, fields = {}) => this.#add(message, fields);
  warn = (message: string, fields = {}) => this.#add(message, fields);
  error = (message: string, fields = {}) => this.#add(message, fields);
  with(): Log {
    return this;
  }

  #add(message: string, fields: object): void {
    this.lines.push(`${message} ${JSON.stringify(fields)}`);
    this.#changes.tell();
  }
}

function changeOf(policy: WatchedPolicy): Promise<void> {
  return new Promise((resolve) => {
    const subscription = policy.subscribe(() => {
      subscription[Symbol.dispose]();
      resolve();
    });
  });
}

function isDenied(policy: EgressPolicy, address: string): boolean {
  return policy.checkAddress(parseIp(address)!, 80) !== undefined;
}

const DENY_ONE = 'deny_addresses = ["1.1.1.1/32"]\n';
const DENY_TWO = 'deny_addresses = ["1.1.1.2/32"]\n';

Deno.test("the example policy is valid and means what its comments say", async () => {
  const policy = await loadPolicy(new URL("../examples/policy.toml", import.meta.url).pathname);
  assertEquals(policy.limits.maxConnections, 2000);
  assertEquals(policy.closeOnReload, true);
  assert(!isDenied(policy, "192.168.1.10"));
  assert(isDenied(policy, "192.168.1.1"));
  assert(isDenied(policy, "10.0.0.1"));
  assertEquals(policy.checkName("ads.example.net", 443)?.code, "host_denied");
  assertEquals(policy.checkName("allowed.example.net", 443), undefined);
  assertEquals(policy.checkName("example.com", 6667)?.code, "port_closed");
});

Deno.test("a broken file is told with the line, the key, the rule and the nearest key", () => {
  const table: [text: string, ...parts: string[]][] = [
    ["\nallow_adresses = []\n", "line 2: allow_adresses is not a known key, did you mean allow_addresses?"],
    ["[limits]\n\nmax_conections = 1\n", "line 3: limits.max_conections", "did you mean max_connections?"],
    ["limits.max_conections = 1\n", "line 1: limits.max_conections"],
    ["x = 1\n[ports]\nalow = [80]", "line 3: ports.alow is not a known key, did you mean allow?", "line 1: x is"],
    ["[ports]\nallow = [80]\ndeny = [\n  0,\n]", "line 3: ports.deny[0] must be a port from 1 to 65535", "got 0"],
    ["hosts = 3", "line 1: hosts must be a list, got 3"],
    ["hosts = [", "p.toml"],
  ];
  for (const [text, ...parts] of table) {
    const error = assertThrows(() => parsePolicy(text, "p.toml"), CulvertError, "Cannot read policy p.toml: ");
    assertEquals(error.code, "bad_policy");
    for (const part of parts) assert(error.message.includes(part), `${part} in ${error.message}`);
  }
});

Deno.test("any text is a policy or a bad policy", () => {
  const toml = fc.array(
    fc.constantFrom("[limits]", "[[hosts]]", "hosts", "ports.allow", "=", "[", "]", '"', "1", "\n", "#"),
  )
    .map((parts) => parts.join(" "));
  fc.assert(fc.property(fc.oneof(fc.string(), toml), (text) => {
    try {
      parsePolicy(text, "p.toml");
    } catch (error) {
      assert(error instanceof CulvertError && error.code === "bad_policy");
    }
  }));
});

Deno.test("a missing, oversized or non-text file is a bad policy", async () => {
  await using file = await policyFile("");
  await assertRejects(() => loadPolicy(join(file.directory, "none.toml")), CulvertError, "Cannot read policy");
  await Deno.writeTextFile(file.path, "#".repeat(1024 * 1024 + 1));
  await assertRejects(() => loadPolicy(file.path), CulvertError, "at most 1048576 bytes");
  await Deno.writeFile(file.path, new Uint8Array([0xff, 0xfe]));
  await assertRejects(() => loadPolicy(file.path), CulvertError, "Cannot read policy");
  await assertRejects(() => watchPolicy(file.path), CulvertError, "Cannot read policy");
});

Deno.test("a change in place and a file renamed into place are both taken", async () => {
  await using file = await policyFile(DENY_ONE);
  const policy = await watchPolicy(file.path);
  const inPlace = changeOf(policy);
  await Deno.writeTextFile(file.path, DENY_TWO);
  await inPlace;
  assertEquals([isDenied(policy.current, "1.1.1.1"), isDenied(policy.current, "1.1.1.2")], [false, true]);
  for (const text of [DENY_ONE, DENY_TWO]) {
    const renamed = changeOf(policy);
    await Deno.writeTextFile(`${file.path}.new`, text);
    await Deno.rename(`${file.path}.new`, file.path);
    await renamed;
    assertEquals(isDenied(policy.current, "1.1.1.1"), text === DENY_ONE);
  }
  policy[Symbol.dispose]();
  await policy.done;
});

Deno.test("a broken new file keeps the old policy and says why, and the next good one is taken", async () => {
  await using file = await policyFile(DENY_ONE);
  const log = new LogLines();
  const policy = await watchPolicy(file.path, { log });
  const before = policy.current;
  await Deno.writeTextFile(file.path, "deny_adresses = []\n");
  const line = await log.until("The new policy is broken");
  assert(line.includes("did you mean deny_addresses?"), line);
  assertStrictEquals(policy.current, before);
  const change = changeOf(policy);
  await Deno.writeTextFile(file.path, DENY_TWO);
  await change;
  assert(isDenied(policy.current, "1.1.1.2"));
  policy[Symbol.dispose]();
  await policy.done;
});

Deno.test("when the file can no longer be watched it is read every few seconds, and complained of once", async () => {
  await using file = await policyFile(DENY_ONE);
  const clock = new FakeClock();
  const log = new LogLines();
  const watch = () => {
    throw new Error("no watches left");
  };
  const policy = await watchPolicy(file.path, { clock, log, watch });
  await log.until("no watches left");
  await Deno.writeTextFile(file.path, "broken");
  await clock.advanceAsync(5_000);
  await log.until("The new policy is broken");
  await Deno.writeTextFile(file.path, DENY_TWO);
  const change = changeOf(policy);
  while (clock.nextTimerMs === undefined) await new Promise((resolve) => setTimeout(resolve)); // its read ends
  await clock.advanceAsync(5_000);
  await change;
  assert(isDenied(policy.current, "1.1.1.2"));
  assertEquals(log.lines.filter((line) => line.includes("broken")).length, 1);
  policy[Symbol.dispose]();
  await policy.done;
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("a directory that is replaced as a whole and a link whose file lies elsewhere are followed too", async () => {
  await using file = await policyFile("");
  const [releases, current] = [join(file.directory, "releases"), join(file.directory, "current")];
  const textPath = (release: string) => join(releases, release, "policy.toml");
  for (const [release, text] of [["1", DENY_ONE], ["2", DENY_TWO]] as const) {
    await Deno.mkdir(join(releases, release), { recursive: true });
    await Deno.writeTextFile(textPath(release), text);
  }
  await Deno.symlink(join(releases, "1"), current);
  const clock = new FakeClock();
  const policy = await watchPolicy(join(current, "policy.toml"), { clock });
  const changed = async () => {
    let isChanged = false;
    changeOf(policy).then(() => isChanged = true);
    while (!isChanged) {
      await new Promise((resolve) => setTimeout(resolve));
      await clock.advanceAsync(1_000);
    }
  };
  await Deno.symlink(join(releases, "2"), `${current}.new`);
  await Deno.rename(`${current}.new`, current);
  await changed();
  assert(isDenied(policy.current, "1.1.1.2"));
  await Deno.writeTextFile(textPath("2"), DENY_ONE);
  await changed();
  assert(isDenied(policy.current, "1.1.1.1"));
  policy[Symbol.dispose]();
  await policy.done;
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("the signal ends the watch", async () => {
  await using file = await policyFile(DENY_ONE);
  const stop = new AbortController();
  const policy = await watchPolicy(file.path, { signal: stop.signal });
  stop.abort();
  await policy.done;
  assert(isDenied(policy.current, "1.1.1.1"));
});
