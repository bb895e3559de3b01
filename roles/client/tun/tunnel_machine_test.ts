/** What a client's packet mode does to a machine, in namespaces: `fixtures/lab.ts`. */

import { assert, assertEquals, assertLess, assertMatch, assertRejects } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { testWith } from "../../../testing/requirements.ts";
import { eventually } from "../../../testing/waiting.ts";
import { ADDRESS, type ClientRun, HOST, NAMED, needs, nft, QUIET, ROUTER, tell, TunnelLab } from "./fixtures/lab.ts";

/** Pings without end; what it says once it is told to end. */
class Pinging {
  readonly #child: Deno.ChildProcess;
  readonly #lines: string[] = [];
  readonly #reading: Promise<void>;

  constructor(lab: TunnelLab, to: string) {
    // Timestamps, and word of each that is not answered.
    this.#child = lab.client.spawn(["ping", "-D", "-O", "-i0.05", "-W1", to], { stdout: "piped", stderr: "null" });
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) this.#lines.push(text);
  }

  /** When each answer came, in seconds. */
  get answeredAt(): number[] {
    const answers = this.#lines.join("").matchAll(/^\[(\d+\.\d+)\] \d+ bytes from/gm);
    return [...answers].map(([, at]) => Number(at));
  }

  /** The longest time without an answer. */
  get longestGapS(): number {
    const at = this.answeredAt;
    return Math.max(...at.slice(1).map((when, index) => when - at[index]!));
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGINT");
    await this.#child.status;
    await this.#reading;
  }
}

async function reaches(lab: TunnelLab, to: string): Promise<boolean> {
  return (await lab.client.run(["ping", "-c1", "-W1", to], { mayFail: true })).code === 0;
}

async function up(
  lab: TunnelLab,
  settings: object = {},
  more: Parameters<TunnelLab["run"]>[1] = {},
): Promise<ClientRun> {
  const run = lab.run(settings, more);
  await run.until("taken");
  return run;
}

/** The address that a host on the internet sees: the source of what arrives there. */
async function seenSource(lab: TunnelLab): Promise<string> {
  const dump = lab.host.spawn(["tcpdump", "-lni", "eth0", "-c1", "icmp[0] == 8"], { stdout: "piped", stderr: "piped" });
  const listening = dump.stderr.pipeThrough(new TextDecoderStream()).getReader();
  await eventually("tcpdump listens", async () => /listening/.test((await listening.read()).value ?? "listening"));
  await lab.client.run(["ping", "-c2", "-W2", HOST], { mayFail: true });
  const text = await new Response(dump.stdout).text();
  await listening.cancel();
  await dump.status;
  return /IP (\S+) >/.exec(text)?.[1] ?? text;
}

testWith(needs, "everything goes through the tunnel, and afterwards the machine is as it was", async () => {
  await using lab = await TunnelLab.open();
  const before = await lab.picture();
  const run = lab.run();
  assertEquals((await run.until("taken"))["interface"], "culvert0");
  await lab.watchLeaks();
  assert(await reaches(lab, HOST));
  assertEquals(await seenSource(lab), "192.0.2.2");
  // What the exit does not carry, and what is on the local network, goes nowhere.
  for (const to of ["2001:db8:1::1", "2001:db8:9::1", ROUTER]) assert(!await reaches(lab, to), to);
  assertEquals(await lab.leaks(), []);
  await run.say("stop", "over");
  assertEquals(await lab.picture(), before);
});

testWith(needs, "a rotation loses nothing and leaks nothing; flows keep their address", async () => {
  await using lab = await TunnelLab.open();
  const before = await lab.picture();
  const run = await up(lab);
  await lab.watchLeaks();
  const pinging = new Pinging(lab, HOST);
  for (const exit of ["b", "a", "b"]) {
    assertEquals((await run.say("rotate", "taken"))["exit"], exit);
    await run.until("rotated");
  }
  await pinging.stop();
  assertLess(pinging.longestGapS, 0.3);
  assertMatch((await lab.client.run(["ip", "link", "show", "culvert1"])).stdout, /mtu 1380/);
  assertMatch((await lab.client.run(["ip", "route", "get", HOST])).stdout, new RegExp(`dev culvert1 .*src ${ADDRESS}`));
  assertEquals(await lab.leaks(), []);
  await run.say("stop", "over");
  assertEquals(await lab.picture(), before);
});

for (
  const [how, act] of [
    ["is killed", (lab: TunnelLab) => lab.exits[0]!.program.crash()],
    ["is unplugged", (lab: TunnelLab) => lab.exits[0]!.namespace.run(["ip", "link", "set", "eth0", "down"])],
    ["swallows everything", async (lab: TunnelLab) => {
      await lab.exits[0]!.namespace.run(["sysctl", "-qw", "net.ipv4.ip_forward=0"]);
      await tell(lab.exits[0]!.program, "silent");
    }],
    ["has no way out", (lab: TunnelLab) => tell(lab.exits[0]!.program, "broken")],
  ] as const
) {
  testWith(needs, `an exit that ${how} is left within three seconds, without a leak, and not returned to`, async () => {
    await using lab = await TunnelLab.open();
    const before = await lab.picture();
    const run = await up(lab);
    await lab.watchLeaks();
    const pinging = new Pinging(lab, HOST);
    await eventually("pings are answered", () => pinging.answeredAt.length > 5);
    await act(lab);
    await run.until("lost");
    assertEquals((await run.until("taken"))["exit"], "b");
    await eventually("pings are answered again", () => pinging.longestGapS > 0.2 || how === "has no way out");
    const count = pinging.answeredAt.length;
    await eventually("pings go on", () => pinging.answeredAt.length > count + 10);
    await pinging.stop();
    assertLess(pinging.longestGapS, 3);
    assertEquals(await lab.leaks(), []);
    await run.say("stop", "over");
    assertEquals(await lab.picture(), before);
  });
}

testWith(needs, "after kill -9 nothing gets out, and the next start takes over without a gap", async () => {
  await using lab = await TunnelLab.open();
  const before = await lab.picture();
  let run = await up(lab);
  await lab.watchLeaks();
  const pinging = new Pinging(lab, HOST), toRouter = new Pinging(lab, ROUTER);
  for (let round = 0; round < 2; round++) {
    const count = pinging.answeredAt.length;
    await eventually("pings are answered", () => pinging.answeredAt.length > count + 3);
    run.program.crash();
    await run.program.ended();
    assert(!await reaches(lab, HOST));
    run = await up(lab);
  }
  assert(await reaches(lab, HOST));
  await pinging.stop();
  await toRouter.stop();
  assertEquals(toRouter.answeredAt, []);
  assertEquals(await lab.leaks(), []);
  await run.say("stop", "over");
  assertEquals(await lab.picture(), before);
});

/** What `culvert client down` says, in the client's namespace. */
async function down(lab: TunnelLab): Promise<string> {
  const main = fromFileUrl(new URL("../../main.ts", import.meta.url));
  const { stdout } = await lab.client.run([Deno.execPath(), "run", "-A", main, "client", "down"], { env: QUIET });
  return stdout.trim();
}

testWith(needs, "there is one tunnel, whatever its interfaces are called", async () => {
  await using lab = await TunnelLab.open();
  const before = await lab.picture();
  const run = await up(lab, { interfacePrefix: "other" });
  const second = lab.run({ interfacePrefix: "lock" });
  await assertRejects(() => second.until("taken"), Error, "it is up already, by process");
  assert(await reaches(lab, HOST));
  run.program.crash();
  await run.program.ended();
  assert(!await reaches(lab, HOST));
  await (await up(lab)).say("stop", "over");
  assertEquals(await lab.picture(), before);
});

testWith(needs, "down takes away what a killed client has left, whatever its interfaces were called", async () => {
  await using lab = await TunnelLab.open();
  const before = await lab.picture();
  const run = await up(lab, { interfacePrefix: "lock" });
  run.program.crash();
  await run.program.ended();
  assert(!await reaches(lab, HOST));
  assertEquals(await down(lab), "The client is down");
  assertEquals(await lab.picture(), before);
  assert(await reaches(lab, HOST));
});

testWith(needs, "a stop may leave the kill switch on; a start without it takes it away", async () => {
  await using lab = await TunnelLab.open();
  const before = await lab.picture();
  await (await up(lab, { keepLock: true })).say("stop", "over");
  assertMatch((await lab.client.run(["nft", "list", "ruleset"])).stdout, /^table inet culvert_lock/);
  assert(!await reaches(lab, HOST));
  const run = await up(lab, { killSwitch: false });
  assert(await reaches(lab, ROUTER), "without it the local network is there");
  await run.say("stop", "over");
  assertEquals(await lab.picture(), before);
});

testWith(needs, "a kill switch that somebody else has flushed is put back", async () => {
  await using lab = await TunnelLab.open();
  const before = await lab.picture();
  const run = await up(lab);
  await lab.client.run(["nft", "flush", "ruleset"]);
  const ruleset = async () => (await lab.client.run(["nft", "list", "ruleset"])).stdout;
  await eventually("the kill switch is back", async () => /culvert_lock/.test(await ruleset()));
  assertEquals(await lookUp(lab, ROUTER), `[ "${NAMED}" ]`);
  await run.say("stop", "over");
  assertEquals(await lab.picture(), before);
});

/** What a name is said to be by a name server that the client's programs ask. */
async function lookUp(lab: TunnelLab, nameServer: string): Promise<string> {
  const options = JSON.stringify({ nameServer: { ipAddr: nameServer } });
  const code = `console.log(await Deno.resolveDns("host.example", "A", ${options}).catch(() => "nothing"))`;
  return (await lab.client.run([Deno.execPath(), "eval", code], { env: QUIET })).stdout.trim();
}

testWith(needs, "names are looked up at the exit, whichever name server is asked", async () => {
  await using lab = await TunnelLab.open();
  const run = await up(lab);
  await lab.watchLeaks();
  for (const server of [ROUTER, "9.9.9.9", "10.201.0.1"]) {
    assertEquals(await lookUp(lab, server), `[ "${NAMED}" ]`, server);
  }
  assertEquals(await lab.leaks(), []);
  await run.say("rotate", "taken");
  assertEquals(await lookUp(lab, ROUTER), `[ "${NAMED}" ]`);
  await run.say("stop", "over");
});

testWith(
  needs,
  "names are looked up at the exit also where the local network has addresses like those in the tunnel",
  async () => {
    await using lab = await TunnelLab.open();
    await lab.client.run(["ip", "route", "add", "10.0.0.0/8", "via", ROUTER]);
    const before = await lab.picture();
    const run = await up(lab, { allowLan: true });
    await lab.watchLeaks();
    for (const server of [ROUTER, "10.9.9.9"]) assertEquals(await lookUp(lab, server), `[ "${NAMED}" ]`, server);
    await run.say("rotate", "taken");
    assertEquals(await lookUp(lab, ROUTER), `[ "${NAMED}" ]`);
    assertEquals(await lab.leaks(), []);
    await run.say("stop", "over");
    assertEquals(await lab.picture(), before);
  },
);

testWith(needs, "what is excluded goes around the tunnel, and nothing else", async () => {
  await using lab = await TunnelLab.open();
  const before = await lab.picture();
  const run = await up(lab, { exclude: [`${HOST}/32`, "2001:db8:1::/64"] });
  await lab.watchLeaks();
  assertEquals(await seenSource(lab), "198.51.100.2");
  assert(await reaches(lab, "2001:db8:1::1"));
  assert(!await reaches(lab, ROUTER));
  await lab.client.run(["ping", "-c1", "-W1", "203.0.113.9"], { mayFail: true });
  assertEquals((await lab.leaks()).sort(), ["2001:db8:1::1 . ipv6-icmp", `${HOST} . icmp`]);
  await run.say("stop", "over");
  assertEquals(await lab.picture(), before);
});

testWith(needs, "with included networks only those go through the tunnel, and only those are kept in", async () => {
  await using lab = await TunnelLab.open();
  const before = await lab.picture();
  const run = await up(lab, { include: [`${HOST}/32`] });
  await lab.watchLeaks();
  assertEquals(await seenSource(lab), "192.0.2.2");
  assert(await reaches(lab, ROUTER));
  assert(await reaches(lab, "2001:db8:1::1"));
  assertEquals(await lookUp(lab, ROUTER), `[ "${NAMED}" ]`);
  run.program.crash();
  await run.program.ended();
  assert(!await reaches(lab, HOST));
  assert(await reaches(lab, ROUTER));
  assertEquals((await lab.leaks()).sort(), ["198.51.100.1 . icmp", "2001:db8:1::1 . ipv6-icmp"]);
  await (await up(lab, { include: [`${HOST}/32`] })).say("stop", "over");
  assertEquals(await lab.picture(), before);
});

testWith(needs, "the kill switch passes the local network where that is allowed", async () => {
  await using lab = await TunnelLab.open();
  const run = await up(lab, { allow: ["198.51.100.0/24"] });
  assert(await reaches(lab, ROUTER));
  assertEquals(await seenSource(lab), "192.0.2.2");
  assertEquals(await lookUp(lab, ROUTER), `[ "${NAMED}" ]`);
  run.program.crash();
  await run.program.ended();
  assert(await reaches(lab, ROUTER));
  assert(!await reaches(lab, HOST));
});

testWith(needs, "a neighbour cannot reach the tunnel's address", async () => {
  await using lab = await TunnelLab.open();
  const run = await up(lab);
  await lab.router.run(["ip", "route", "add", ADDRESS, "via", "198.51.100.2"]);
  await nft(
    lab.client,
    "table inet seen { chain in { type filter hook input priority 0; iif eth0 ip daddr 10.201.0.2 counter; }; }",
  );
  await lab.router.run(["ping", "-c1", "-W1", ADDRESS], { mayFail: true });
  assertMatch((await lab.client.run(["nft", "list", "table", "inet", "seen"])).stdout, /counter packets 0/);
  await run.say("stop", "over");
});
