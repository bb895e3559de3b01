/** A node as its owner has it, with orchestrators on real ports and sites on this machine. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { CulvertError, DialError } from "../../protocol/errors.ts";
import { readFull, type Stream, writeAll } from "../../protocol/stream.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { ConfigError } from "../config.ts";
import { defineRole, type Role, type RunningRole, startRole } from "../role.ts";
import type { Owner } from "./agreement.ts";
import { consentRole, pauseRole, resumeRole, statusRole } from "./commands.ts";
import { EARNINGS, ENROLMENT_CODE, TestOrchestrator } from "./fixtures/orchestrator.ts";
import { Site } from "./fixtures/site.ts";
import { runNode } from "./run.ts";
import { nodeConfig } from "./settings.ts";
import type { NodeReport } from "./status.ts";

const MIB = 1024 * 1024;

/** Somebody at the terminal, or nobody: what they heard, and what they answer. */
class TestOwner implements Owner {
  readonly heard: string[] = [];
  readonly answer: string | undefined;

  constructor(answer?: string) {
    this.answer = answer;
  }

  get isThere(): boolean {
    return this.answer !== undefined;
  }

  say(line: string): void {
    this.heard.push(line);
  }

  ask(question: string): Promise<string | undefined> {
    this.heard.push(question);
    return Promise.resolve(this.answer);
  }
}

/** A state directory, and a policy that opens this machine's sites. */
class Home implements Disposable {
  readonly directory = new TempDirectory();
  readonly stateDir = this.directory.path("state");

  policy(site: Site): string {
    const path = this.directory.path("policy.toml");
    Deno.writeTextFileSync(path, `allow_addresses = ["loopback"]\n[ports]\nallow = [${site.port}]\n`);
    return path;
  }

  start(flags: Readonly<Record<string, unknown>>, owner: Owner = new TestOwner()): RunningRole {
    const role = defineRole({
      name: "node",
      summary: "A node.",
      config: nodeConfig,
      examples: [],
      run: (config, context) => runNode(config, context, owner),
    });
    const settings = { minBattery: 0, metered: "share", tunnels: 1, ...flags };
    return startRole(role, nodeConfig.parse(settings), { stateDir: this.stateDir });
  }

  /** Runs a command of the owner's and gives what it prints. */
  async command(
    role: Role,
    flags: Record<string, unknown> = {},
    json = true,
  ): Promise<string> {
    const lines: string[] = [];
    const running = startRole(role, role.config.parse(flags), {
      stateDir: this.stateDir,
      json,
      print: (line) => void lines.push(line),
    });
    await running.done;
    return lines.join("\n");
  }

  async report(role: Role = statusRole, flags = {}): Promise<NodeReport> {
    return JSON.parse(await this.command(role, flags));
  }

  [Symbol.dispose](): void {
    this.directory[Symbol.dispose]();
  }
}

/** A node that shares the sites of this machine with an orchestrator. */
async function sharing(flags: Readonly<Record<string, unknown>> = {}) {
  await using stack = new AsyncDisposableStack();
  const orchestrator = stack.use(new TestOrchestrator());
  const site = stack.use(new Site());
  const home = stack.use(new Home());
  const given = {
    orchestrator: [orchestrator.url],
    code: [ENROLMENT_CODE],
    yes: true,
    egressPolicy: home.policy(site),
  };
  const start = () => home.start({ ...given, ...flags });
  const running = stack.use(start());
  await within("a node that is ready", running.ready);
  const node = await orchestrator.node();
  const kept = stack.move();
  return {
    ...{ orchestrator, site, home, running, node, start },
    /** Opens a stream to the site through the node. */
    dial: () => node.path.dial({ host: "127.0.0.1", port: site.port }),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function echo(stream: Stream, bytes: number): Promise<boolean> {
  const back = new Uint8Array(bytes);
  const [, isWhole] = await Promise.all([writeAll(stream, new Uint8Array(bytes)), readFull(stream, back)]);
  return isWhole;
}

Deno.test("nobody is asked in vain: without an answer nothing leaves the machine", async () => {
  await using orchestrator = new TestOrchestrator();
  const flags = { orchestrator: [orchestrator.url], code: [ENROLMENT_CODE], dailyCap: "5GiB" };
  using home = new Home();
  const nobody = new TestOwner();
  await assertRejects(() => home.start(flags, nobody).done, ConfigError, "give --yes");
  const text = nobody.heard.join("\n");
  assertMatch(text, /a day +5\.0 GiB \(your connection carries about 10\.0 GiB\)/);
  assertMatch(text, /ports +80, 443, 8080, 8443/);
  assertMatch(text, /Other people's internet traffic will leave through this machine/);
  for (const answer of ["", "n", "no", "yessir"]) {
    const unwilling = new TestOwner(answer);
    const error = await assertRejects(() => home.start(flags, unwilling).done, CulvertError, "you have not agreed");
    assertEquals(error.code, "no_consent");
    assertMatch(unwilling.heard.at(-1)!, /Do you agree to share through http:.*\? \(y\/N\) $/);
  }
  assertEquals(orchestrator.hellos.length, 0);
  assertMatch(await home.command(consentRole, {}, false), /Nobody has agreed on this machine/);
});

Deno.test("an answer is asked for once for each orchestrator, and is signed", async () => {
  await using orchestrator = new TestOrchestrator();
  await using second = new TestOrchestrator();
  using home = new Home();
  const flags = { orchestrator: [orchestrator.namedUrl], code: [ENROLMENT_CODE] };
  const first = new TestOwner("y");
  {
    await using running = home.start(flags, first);
    await within("a node that is ready", running.ready);
  }
  assertEquals(first.heard.filter((line) => line.includes("Do you agree")).length, 1);
  const again = new TestOwner();
  {
    await using running = home.start(flags, again);
    await within("a node that is ready", running.ready);
  }
  assertEquals(orchestrator.hellos[0]!.consent, orchestrator.hellos.at(-1)!.consent);
  assert(again.heard.some((line) => line.includes("This node shares")), "it says what it shares each time");
  const both = { orchestrator: [orchestrator.url, second.url], code: [ENROLMENT_CODE, ENROLMENT_CODE] };
  await assertRejects(() => home.start(both).done, ConfigError, "give --yes");
  {
    await using running = home.start({ ...both, yes: true });
    await within("a node that is ready", running.ready);
    await Promise.all([orchestrator.node(), second.node()]);
  }
  const { given } = JSON.parse(await home.command(consentRole));
  assertEquals(given.map(({ url, isGood }: { url: string; isGood: boolean }) => [url, isGood]), [
    [orchestrator.url, true],
    [second.url, true],
  ]);
});

Deno.test("what passes is counted, paid by the ledger's figures, and told without hosts", async () => {
  await using it = await sharing();
  using stream = await it.dial();
  assert(await echo(stream, 100_000));
  const report = await it.home.report();
  assertEquals([report.isSharing, report.streams, report.pauses.length], [true, 1, 0]);
  assertEquals([report.upBytes, report.downBytes, report.usage.dayBytes], [100_000, 100_000, 200_000]);
  assertEquals(report.opened, { https: 0, http: 0, other: 1, udp: 0 });
  assertEquals(report.orchestrators[0]!.earnings, EARNINGS);
  assertEquals(report.orchestrators[0]!.orchestratorId, it.orchestrator.identity.peerId);
  const text = await it.home.command(statusRole, {}, false);
  assertMatch(text, /state +sharing/);
  assertMatch(text, /earned +1\.234567 by this node for 1\.0 KiB/);
  assertMatch(text, /account +12\.50 can be paid out/);
  assertMatch(text, /paid +1\.60 per GiB \(standard\)/);
  await it.orchestrator.changes.until(
    () => it.orchestrator.statuses.at(-1)?.upBytes === 100_000,
    "a heartbeat with the count",
  );
});

Deno.test("what its own policy closes is closed, whatever the orchestrator asks for", async () => {
  await using it = await sharing();
  const table: [host: string, port: number][] = [
    ["127.0.0.1", 25],
    ["127.0.0.1", it.site.port === 22 ? 23 : 22],
    ["192.168.1.1", it.site.port],
    ["169.254.169.254", it.site.port],
    ["[::ffff:10.0.0.1]", it.site.port],
  ];
  for (const [host, port] of table) {
    const error = await assertRejects(() => it.node.path.dial({ host, port }), DialError);
    assertEquals(error.code, host.startsWith("[") ? error.code : "denied", `${host} ${port}`);
  }
  assertEquals((await it.home.report()).streams, 0);
});

Deno.test("the owner's pause ends what is open, outlives a restart, and is taken back", async () => {
  await using it = await sharing();
  using stream = await it.dial();
  assert(await echo(stream, 10));
  const paused = await it.home.report(pauseRole, { for: "2h" });
  assertEquals(paused.pauses.map(({ reason }) => reason), ["owner"]);
  assert(paused.pauses[0]!.untilMs! > paused.nowMs);
  await assertRejects(async () => {
    while (await stream.read(new Uint8Array(10)) !== null);
    throw new Error("it ended");
  });
  await eventually("an orchestrator that knows", () => !it.node.isOpen);
  await assertRejects(it.dial, DialError);
  await it.running.stop();
  await using again = it.start();
  assertMatch((await within("a node that is ready", again.ready)).note!, /paused: until .*you have paused it/);
  assertEquals((await it.home.report(resumeRole)).pauses, []);
  const node = await it.orchestrator.node((node) => node.isOpen);
  (await node.path.dial({ host: "127.0.0.1", port: it.site.port })).close();
});

Deno.test("a cap ends the sharing until the next day, to the byte", async () => {
  await using it = await sharing({ dailyCap: "2MiB" });
  const stream = await it.dial();
  const pushing = (async () => {
    for (;;) await writeAll(stream, new Uint8Array(64 * 1024));
  })();
  const draining = (async () => {
    while (await stream.read(new Uint8Array(64 * 1024)) !== null);
  })();
  await within("the end of the stream", Promise.allSettled([pushing, draining]));
  const report = await it.home.report();
  assertEquals(report.pauses.map(({ reason }) => reason), ["daily_cap"]);
  assert(report.usage.dayBytes <= 2 * MIB);
  assert(report.usage.dayBytes >= 2 * MIB - 256 * 1024, `${report.usage.dayBytes}`);
  assert(it.site.receivedBytes <= 2 * MIB);
  await eventually("an orchestrator that knows", () => !it.node.isOpen);
});

Deno.test("it ends when nobody takes it any more, and says what to do", async () => {
  await using orchestrator = new TestOrchestrator();
  using home = new Home();
  const start = (code: string[]) => home.start({ orchestrator: [orchestrator.url], yes: true, code });
  const unknown = await assertRejects(() => start([]).done, CulvertError, "give --code with an enrolment code");
  assertEquals(unknown.code, "refused");
  await assertRejects(() => start(["wrong-code"]).done, CulvertError, "get another");
});

Deno.test("an orchestrator that is another than before is not spoken to", async () => {
  await using orchestrator = new TestOrchestrator();
  await using other = new TestOrchestrator();
  using home = new Home();
  const wrong = other.url.replace("http://", `http://${orchestrator.identity.peerId}@`);
  await using running = home.start({ orchestrator: [wrong], yes: true, code: [ENROLMENT_CODE] });
  await eventually("an attempt", async () => (await home.report().catch(() => undefined)) !== undefined);
  assertEquals(other.hellos.length, 0);
  await running.stop().catch(() => {});
});

Deno.test("whoever withdraws shares nothing from that moment, and is asked anew", async () => {
  await using it = await sharing();
  using stream = await it.dial();
  assert(await echo(stream, 10));
  assertEquals(JSON.parse(await it.home.command(consentRole, { withdraw: true })), { withdrawn: true, ended: true });
  await within("the end of the node", it.running.done);
  assertEquals(JSON.parse(await it.home.command(consentRole)).given, []);
  assertEquals(JSON.parse(await it.home.command(consentRole, { withdraw: true })).ended, false);
});

Deno.test("on a stop what is open may end first, and nothing new begins", async () => {
  await using it = await sharing();
  const stream = await it.dial();
  assert(await echo(stream, 10));
  const stopping = it.running.stop();
  await eventually("a node that drains", () => !it.node.isOpen);
  assert(await echo(stream, 1000), "what is open goes on");
  await stream.closeWrite();
  while (await stream.read(new Uint8Array(10)) !== null);
  stream.close();
  await within("the end of the node", stopping);
  await assertRejects(() => it.home.command(statusRole), CulvertError, "there is none");
});

Deno.test("the owner's words are kept where no node runs, and two nodes do not share a state", async () => {
  await using it = await sharing();
  await assertRejects(() => it.start().done, CulvertError, "another node answers there");
  await it.running.stop();
  assertMatch(await it.home.command(pauseRole, {}, false), /does not run at present/);
  await using again = it.start();
  assertMatch((await within("a node that is ready", again.ready)).note!, /paused: you have paused it/);
});
