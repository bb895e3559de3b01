/** What the guard keeps the kernel from doing, seen from another machine. */

import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { LogCollector } from "../../testing/log_collector.ts";
import { NetLab, type NetNamespace } from "../../testing/netns.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { testWith } from "../../testing/requirements.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { inNamespace } from "../fixtures/in_namespace.ts";
import { openLibc } from "../libc.ts";
import { sendTcp } from "./fixtures/send_tcp.ts";
import { guardState } from "./guard_state.ts";
import { type GuardOptions, guardPorts, type PortGuard } from "./guard.ts";
import { guardByNft } from "./nft_guard.ts";
import { reservePorts } from "./port_reservation.ts";
import type { RuleHost } from "./rules.ts";

const needs = { netns: true, tools: ["ip", "nft", "curl", "iptables-legacy", "ip6tables-legacy"] };
const CLIENT = "10.77.0.1";
const SERVER = "10.77.0.2";
const SERVER6 = "fd77::2";

interface Scene {
  readonly client: NetNamespace;
  readonly server: NetNamespace;
  readonly log: LogCollector;
  /** On the server. */
  guard(options: Partial<GuardOptions>): PortGuard;
}

function testOnLink(name: string, run: (scene: Scene) => void | Promise<void>): void {
  testWith(needs, name, async () => {
    await using lab = await NetLab.open();
    const [client, server] = [await lab.namespace("client"), await lab.namespace("server")];
    await lab.connect(client, `${CLIENT}/24`, server, `${SERVER}/24`);
    for (const [namespace, host] of [[client, 1], [server, 2]] as const) {
      await namespace.run(["ip", "address", "add", `fd77::${host}/64`, "dev", "eth0", "nodad"]);
    }
    using libc = openLibc();
    const log = new LogCollector();
    const clock = clockOf(globalThis);
    const guard = (options: Partial<GuardOptions>) =>
      inNamespace(server, () => guardPorts({ libc, ports: [45_000], side: "server", clock, log, ...options }));
    await run({ client, server, log, guard });
  });
}

/** What curl gives: 7 where it was refused, 28 where nobody answered. */
async function knock(from: NetNamespace, port: number, host = SERVER): Promise<number> {
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${port}/`;
  return (await from.run(["curl", "-s", "--max-time", "0.5", url], { mayFail: true })).code;
}

testOnLink("the kernel is silent on guarded ports, of both families, and as before on others", async (scene) => {
  const { client, server, guard } = scene;
  const before = (await server.run(["nft", "list", "ruleset"])).stdout;
  {
    await using guarded = guard({ ports: [45_000, 45_001, 45_002, 46_000] });
    assertEquals([guarded.ports, guarded.way], [[45_000, 45_001, 45_002, 46_000], "nft"]);
    for (const host of [SERVER, SERVER6]) {
      assertEquals([await knock(client, 45_001, host), await knock(client, 46_000, host)], [28, 28]);
      assertEquals(await knock(client, 45_003, host), 7);
    }
  }
  assertEquals(await knock(client, 45_000), 7);
  assertEquals((await server.run(["nft", "list", "ruleset"])).stdout, before);
});

testOnLink("a port that somebody has is refused, and it is said who", ({ server, guard }) => {
  using _listener = inNamespace(server, () => Deno.listen({ hostname: "127.0.0.1", port: 45_000 }));
  const error = assertThrows(() => guard({}), CulvertError);
  assertEquals(error.code, "port_in_use");
  assertStringIncludes(error.message, `deno (${Deno.pid}) listens on 127.0.0.1:45000`);
});

testOnLink("the kernel chooses a port, and gives it to nobody else", async ({ server, guard, log }) => {
  await using guarded = guard({ ports: [0], side: "client", peer: CLIENT });
  const [port] = guarded.ports;
  assert(port! > 1024);
  assertThrows(() => inNamespace(server, () => Deno.listen({ hostname: SERVER, port: port! })), Deno.errors.AddrInUse);
  assertThrows(() => guard({ ports: [port!] }), CulvertError, "a socket of some process holds it");
  assertEquals(log.lines, []);
});

/** Counts what of each kind leaves the server past the guard, in a table of the test's own. */
async function watchLeaving(server: NetNamespace): Promise<() => Promise<Record<string, number>>> {
  const rules = ["tcp flags & rst == rst", "tcp flags & rst != rst"].flatMap((flags) =>
    ["== untracked", "!= untracked"].map((state) => `${flags} ct state ${state} counter;`)
  );
  await server.run([
    "nft",
    `table inet theirs { chain c { type filter hook output priority 10; ${rules.join(" ")} }\n}`,
  ]);
  return async () => {
    const listed = (await server.run(["nft", "list", "table", "inet", "theirs"])).stdout;
    const counts = [...listed.matchAll(/packets (\d+)/g)].map(([, count]) => Number(count));
    const [untrackedResets, trackedResets, untracked, tracked] = counts as [number, number, number, number];
    return { untrackedResets, trackedResets, untracked, tracked };
  };
}

const ACK = 0x10, RST = 0x04;

for (const way of ["nft", "iptables"] as const) {
  testOnLink(`only resets of our ports stay, and only what we send is not tracked (${way})`, async ({ server }) => {
    const counts = await watchLeaving(server);
    using libc = openLibc();
    const send = (from: number, flags: number, host = CLIENT) =>
      inNamespace(server, () => sendTcp(libc, { from, to: [host, 9], flags }));
    const holder = await holdIn(server, { ports: [45_000, 45_001], way });
    send(45_001, ACK);
    assertEquals(await counts(), { untrackedResets: 0, trackedResets: 0, untracked: 1, tracked: 0 });
    send(45_001, RST);
    assertEquals(await counts(), { untrackedResets: 0, trackedResets: 0, untracked: 1, tracked: 0 });
    send(45_002, ACK);
    send(45_002, RST);
    assertEquals(await counts(), { untrackedResets: 0, trackedResets: 1, untracked: 1, tracked: 1 });
    await holder.end();
  });

  testOnLink(`a client's port is guarded from one peer alone (${way})`, async ({ client, server }) => {
    await client.run(["ip", "address", "add", "10.77.0.9/24", "dev", "eth0"]);
    const holder = await holdIn(server, { ports: [45_000], side: "client", peer: CLIENT, way });
    const from = async (source: string) =>
      (await client.run(["curl", "-s", "--max-time", "0.5", "--interface", source, `http://${SERVER}:45000/`], {
        mayFail: true,
      })).code;
    assertEquals([await from(CLIENT), await from("10.77.0.9")], [28, 7]);
    assertEquals(await knock(client, 45_000, SERVER6), 7);
    await holder.end();
  });
}

testOnLink("nft lists what we set, as it is meant", async ({ server, guard }) => {
  await using _guarded = guard({ ports: [45_000, 45_002, 45_001, 47_000], peer: CLIENT });
  const listed = (await server.run(["nft", "list", "table", "inet", "culvert_raw_45000"])).stdout;
  const words = listed.replaceAll(/\s+/g, " ").replace(/^# Warning.*?table/, "table").trim();
  const ports = "{ 45000-45002, 47000 }";
  assertStringIncludes(words, "flags owner");
  for (
    const rule of [
      "type filter hook prerouting priority raw; policy accept;",
      `ip saddr ${CLIENT} tcp dport ${ports} fib daddr type local counter packets 0 bytes 0 drop comment "ours to read"`,
      "type filter hook output priority raw; policy accept;",
      `ip daddr ${CLIENT} tcp sport ${ports} tcp flags & rst == rst counter packets 0 bytes 0 drop`,
      `ip daddr ${CLIENT} tcp sport ${ports} notrack`,
    ]
  ) assertStringIncludes(words, rule);
});

testOnLink("whether a port is guarded is told of each, with what was kept back", async ({ server, guard }) => {
  using libc = openLibc();
  const state = (port: number) => inNamespace(server, () => guardState(libc, port));
  assertEquals(state(45_000), undefined);
  await using guarded = guard({ ports: [45_000, 45_001, 47_000] });
  const expected = { way: "nft", firstPort: 45_000, resets: 0 } as const;
  assertEquals(guarded.ports.map(state), [expected, expected, expected]);
  assertEquals([44_999, 45_002, 46_000].map(state), [undefined, undefined, undefined]);
});

/** Another process that guards ports of the server. */
async function holdIn(
  server: NetNamespace,
  options: Partial<GuardOptions> & { readonly hasNft?: boolean },
  words = "guarded",
): Promise<Holder> {
  const program = new URL("fixtures/hold.ts", import.meta.url).pathname;
  const child = server.spawn([Deno.execPath(), "run", "-A", "--no-check", program, JSON.stringify(options)], {
    stdout: "piped",
    stdin: "piped",
  });
  const holder = new Holder(child);
  await holder.says(words);
  return holder;
}

class Holder {
  readonly #child: Deno.ChildProcess;
  readonly #said: ReadableStreamDefaultReader<Uint8Array>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;

  constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#said = child.stdout.getReader();
    this.#input = child.stdin.getWriter();
  }

  async says(words: string): Promise<void> {
    const { value } = await within(`"${words}" of another process`, this.#said.read());
    assertStringIncludes(new TextDecoder().decode(value), words);
  }

  /** Its time goes on by ten seconds. */
  async tick(): Promise<void> {
    await this.#input.write(new Uint8Array([10]));
  }

  async end(): Promise<void> {
    await this.#input.close();
    const { code } = await within("the end of a guard", this.#child.status);
    assertEquals(code, 0);
    await this.#said.cancel();
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
    await this.#said.cancel();
    await this.#input.abort();
  }
}

testOnLink("two processes guard two ports, and of one that is killed nothing is left", async (scene) => {
  const { client, server, guard } = scene;
  await server.run([
    "nft",
    "table ip filter { chain INPUT { type filter hook input priority 0; tcp dport 1 accept; }\n}",
  ]);
  const before = (await server.run(["nft", "list", "ruleset"])).stdout;
  const other = await holdIn(server, { ports: [45_100] });
  {
    await using _guarded = guard({});
    assertEquals([await knock(client, 45_000), await knock(client, 45_100)], [28, 28]);
    assertThrows(() => guard({ ports: [45_100] }), CulvertError, "a socket of some process holds it");
    await other.kill();
    await eventually("the kernel takes its rules away", async () => await knock(client, 45_100) === 7);
    assertEquals(await knock(client, 45_000), 28);
    await server.run(["nft", "flush", "ruleset"]);
    assertEquals(await knock(client, 45_000), 28, "nobody else can flush what we own");
  }
  await server.run(["nft", before]);
  assertEquals((await server.run(["nft", "list", "ruleset"])).stdout, before);
});

testOnLink("where tables have no owners, they are put back when flushed and cleared up by the next", async (scene) => {
  const { client, server, log } = scene;
  const clock = new FakeClock();
  using libc = openLibc();
  const kernels = [{ isOwned: false, knowsLocal: true }];
  const guardUnowned = (port: number, host: RuleHost) =>
    inNamespace(server, () => guardByNft({ ports: [port] }, host, kernels));
  const host: RuleHost = { libc, clock, log };
  const tables = async () => {
    const listed = (await server.run(["nft", "list", "tables"])).stdout;
    return [...listed.matchAll(/culvert_raw_\d+/g)].map(([name]) => name);
  };
  {
    await using _guarded = guardUnowned(45_000, host);
    assertEquals(await knock(client, 45_000), 28);
    await server.run(["nft", "flush", "ruleset"]);
    assertEquals(await knock(client, 45_000), 7);
    clock.advance(1000);
    await log.waitFor("they are put back");
    assertEquals(await knock(client, 45_000), 28);
    clock.advance(1000);
    assertEquals(log.lines.length, 1);
  }
  assertEquals(await tables(), []);
  // As if killed: its socket is closed, and nobody takes its table away.
  await server.run(["nft", "add table inet culvert_raw_45003; add table inet culvert_raw_45004"]);
  using _reserved = inNamespace(server, () => reservePorts(libc, [45_004]));
  await using _guarded = guardUnowned(45_000, host);
  assertEquals(await tables(), ["culvert_raw_45004", "culvert_raw_45000"], "whose port is in use is alive");
});

const way = "iptables";
const LEGACY = ["iptables-legacy", "ip6tables-legacy"] as const;

/** All rules of both families, without comments and counters. */
async function legacyRules(server: NetNamespace): Promise<string> {
  const listed = LEGACY.flatMap((program) => ["raw", "mangle", "filter"].map((table) => [program, "-t", table, "-S"]));
  const texts = [];
  for (const command of listed) texts.push((await server.run(command)).stdout);
  return texts.join("");
}

testOnLink("without nf_tables iptables guards, beside the rules of others", async ({ client, server }) => {
  const others = ["-t", "raw", "-A", "PREROUTING", "-p", "tcp", "--dport", "45000", "-j", "ACCEPT"];
  for (const program of LEGACY) {
    await server.run([program, ...others, "-m", "comment", "--comment", "theirs culvert-raw-45000 not"]);
    await server.run([program, "-t", "raw", "-A", "OUTPUT", "-j", "ACCEPT"]);
  }
  const before = await legacyRules(server);
  const holder = await holdIn(server, { ports: [45_000, 45_001], way });
  for (const host of [SERVER, SERVER6]) {
    assertEquals([await knock(client, 45_000, host), await knock(client, 45_001, host)], [28, 28], host);
    assertEquals(await knock(client, 45_002, host), 7);
  }
  assertStringIncludes(
    await legacyRules(server),
    "-A OUTPUT -p tcp -m tcp --sport 45000:45001 -m comment --comment culvert-raw-45000 -j CT --notrack",
  );
  await holder.end();
  assertEquals(await legacyRules(server), before);
});

testOnLink("in a kernel without nf_tables iptables is found by itself", async ({ client, server }) => {
  const holder = await holdIn(server, { ports: [45_000], hasNft: false }, "guarded by iptables");
  assertEquals([await knock(client, 45_000), await knock(client, 45_000, SERVER6)], [28, 28]);
  await holder.end();
  assertEquals(await knock(client, 45_000), 7);
});

testOnLink("rules of iptables that are flushed are put back", async ({ client, server }) => {
  const holder = await holdIn(server, { ports: [45_000], way });
  await server.run(["iptables-legacy", "-t", "raw", "-F"]);
  assertEquals([await knock(client, 45_000), await knock(client, 45_000, SERVER6)], [7, 28]);
  await holder.tick();
  await holder.says("they are put back");
  await eventually("they are back", async () => await knock(client, 45_000) === 28);
  await holder.kill();
});

testOnLink("rules of iptables that a killed process left are cleared up by the next", async (scene) => {
  const { client, server } = scene;
  const before = await legacyRules(server);
  const [dead, alive] = [
    await holdIn(server, { ports: [45_100, 45_200], way }),
    await holdIn(server, { ports: [45_300], way }),
  ];
  await dead.kill();
  assertEquals(await knock(client, 45_200), 28, "they stay");
  const next = await holdIn(server, { ports: [45_000], way });
  assertEquals([await knock(client, 45_100), await knock(client, 45_200), await knock(client, 45_300)], [7, 7, 28]);
  await alive.kill();
  const again = await holdIn(server, { ports: [45_300], way });
  assertEquals([await knock(client, 45_000), await knock(client, 45_300)], [28, 28]);
  await Promise.all([next.end(), again.end()]);
  assertEquals(await legacyRules(server), before);
});
