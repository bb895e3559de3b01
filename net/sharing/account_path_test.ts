import { assert, assertEquals, assertRejects } from "@std/assert";
import { policyOf } from "../../protocol/egress_policy.ts";
import { DialError, type DialFailure } from "../../protocol/errors.ts";
import type { ChoiceQuality } from "../../protocol/sharing/choice.ts";
import type { NodeReport } from "../../protocol/sharing/node_report.ts";
import { parseProxyLogin } from "../../protocol/sharing/proxy_login.ts";
import type { SharingSession, UserLimits } from "../../protocol/sharing/records.ts";
import { type Path, type Stream, writeAll } from "../../protocol/stream.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { memoryStreamPair } from "../memory.ts";
import type { AbuseEvent } from "./abuse_limits.ts";
import { AccountPaths } from "./account_paths.ts";
import { liveNode, type NodeDouble, NodeList } from "./fixtures/live_node.ts";
import { BoothDouble } from "./fixtures/toll_double.ts";
import type { LiveNode } from "./live_nodes.ts";

const USER = "abcdefgh2345";
const SITE = { host: "site.test", port: 443 };

/** An orchestrator's accounts over nodes that do as they are told. */
class Rig implements Disposable {
  readonly clock = new FakeClock();
  readonly nodes = new NodeList();
  readonly booth = new BoothDouble();
  readonly reports: NodeReport[] = [];
  readonly told: AbuseEvent[] = [];
  readonly sessions: SharingSession[] = [];
  readonly quality = new Map<string, ChoiceQuality>();
  /** Node ids in the order in which they were dialled. */
  readonly dialled: string[] = [];
  readonly accounts: AccountPaths;
  limits: UserLimits = {};

  constructor() {
    this.accounts = new AccountPaths({
      nodes: this.nodes,
      booth: this.booth,
      quality: (nodeId) => this.quality.get(nodeId) ?? { score: 1, standing: "good" },
      policy: policyOf(),
      clock: this.clock,
      random: new SeededRandom(3),
      report: (report) => this.reports.push(report),
      tellAbuse: (event) => this.told.push(event),
      onSession: (session) => this.sessions.push(session),
    });
  }

  /** A node that answers every dial so. Its far end is thrown away unless `far` takes it. */
  add(nodeId: string, how: DialFailure | "ok" | "never" = "ok", more: Partial<NodeDouble> = {}): LiveNode {
    const node = liveNode({
      nodeId,
      ...more,
      dial: () => {
        this.dialled.push(nodeId);
        if (how === "never") return new Promise<Stream>(() => {});
        if (how !== "ok") return Promise.reject(new DialError(how, "as the test wants"));
        return Promise.resolve(memoryStreamPair()[0]);
      },
    });
    this.nodes.list.push(node);
    return node;
  }

  path(options = ""): Path {
    const login = parseProxyLogin(USER + options);
    assert(typeof login === "object", String(login));
    return this.accounts.path({ userId: USER, limits: this.limits }, login);
  }

  async dial(options = ""): Promise<Stream> {
    return await this.path(options).dial(SITE);
  }

  [Symbol.dispose](): void {
    this.accounts[Symbol.dispose]();
    assertEquals([this.booth.openTolls, this.booth.asideBytes], [0, 0], "something is still set aside");
  }
}

async function refusalOf(dial: Promise<unknown>): Promise<DialError> {
  return await assertRejects(() => dial, DialError);
}

Deno.test("A stream goes through a node that fits, and what is charged says whose it is", async () => {
  using rig = new Rig();
  rig.add("n1", "ok", { country: "fr" });
  rig.add("n2", "ok", { country: "de", ownerId: "owner", region: "eu-west" });
  using _stream = await rig.dial("-country-de");
  const [fare] = rig.booth.fares;
  assertEquals([fare?.userId, fare?.nodeId, fare?.ownerId, fare?.region], [USER, "n2", "owner", "eu-west"]);
  assertEquals(rig.reports.map(({ kind }) => kind), ["dialled"]);
});

Deno.test("When there is no such node the client hears it as what it is", async () => {
  using rig = new Rig();
  rig.add("n1", "ok", { country: "fr" });
  const error = await refusalOf(rig.dial("-country-de"));
  assertEquals([error.code, error.isForAll], ["failed", true]);
});

Deno.test("Three nodes are tried when it is the nodes' fault, and no more", async () => {
  using rig = new Rig();
  for (const id of ["n1", "n2", "n3", "n4"]) rig.add(id, "path_down");
  assertEquals((await refusalOf(rig.dial())).code, "failed");
  assertEquals(new Set(rig.dialled).size, 3);
  assertEquals(rig.reports.map(({ kind }) => kind), ["failed", "failed", "failed"]);
});

Deno.test("The client does not hear of a node that failed when another one works", async () => {
  using rig = new Rig();
  rig.add("n1", "path_down");
  rig.add("n2", "busy");
  rig.add("n3");
  for (let turn = 0; turn < 10; turn++) (await rig.dial()).close();
  assertEquals(rig.booth.openTolls, 0);
});

const answers: readonly { readonly failure: DialFailure; readonly tries: number; readonly told: DialFailure }[] = [
  { failure: "refused", tries: 1, told: "refused" },
  { failure: "unresolved", tries: 1, told: "unresolved" },
  { failure: "host_unreachable", tries: 1, told: "host_unreachable" },
  { failure: "timeout", tries: 1, told: "timeout" },
  { failure: "denied", tries: 3, told: "denied" },
  { failure: "network_unreachable", tries: 3, told: "network_unreachable" },
  { failure: "busy", tries: 3, told: "busy" },
  { failure: "unauthorized", tries: 3, told: "failed" },
];

for (const { failure, tries, told } of answers) {
  Deno.test(`A node's answer "${failure}" is told as "${told}", after ${tries === 1 ? "one try" : `${tries} tries`}`, async () => {
    using rig = new Rig();
    for (const id of ["n1", "n2", "n3"]) rig.add(id, failure);
    assertEquals((await refusalOf(rig.dial())).code, told);
    assertEquals(rig.dialled.length, tries);
  });
}

Deno.test("A node that says nothing is passed over, and known for it", async () => {
  using rig = new Rig();
  for (const id of ["n1", "n2", "n3"]) rig.add(id, "never");
  // A careless path that does not even mind the signal would hang the client: paths of nodes do mind it.
  for (const node of rig.nodes.list) {
    (node.path as { dial: Path["dial"] }).dial = (_target, options) =>
      new Promise((_, reject) => options!.signal!.addEventListener("abort", () => reject(options!.signal!.reason)));
  }
  const error = await rig.clock.runUntil(refusalOf(rig.dial()));
  assertEquals(error.code, "timeout");
  assertEquals(rig.reports.map(({ kind }) => kind), ["silent", "silent", "silent"]);
});

Deno.test("Whoever gives up is not tried for any more", async () => {
  using rig = new Rig();
  rig.add("n1");
  rig.add("n2");
  for (const node of rig.nodes.list) {
    (node.path as { dial: Path["dial"] }).dial = (_target, options) =>
      new Promise((_, reject) => options!.signal!.addEventListener("abort", () => reject(options!.signal!.reason)));
  }
  const leaving = new AbortController();
  const dialling = rig.path().dial(SITE, { signal: leaving.signal });
  const rejected = assertRejects(() => dialling, Error, "gone");
  await Promise.resolve();
  leaving.abort(new Error("gone"));
  await rejected;
  assertEquals([rig.reports.length, rig.accounts.openConnections(USER)], [0, 0]);
});

Deno.test("An account without money is told so, and no node is bothered", async () => {
  using rig = new Rig();
  rig.add("n1");
  rig.booth.leftBytes = 0;
  assertEquals((await refusalOf(rig.dial())).code, "unpaid");
  assertEquals([rig.dialled.length, rig.accounts.openConnections(USER)], [0, 0]);
});

const closedTargets = [
  { name: "mail", target: { host: "mail.test", port: 25 } },
  { name: "mail submission", target: { host: "mail.test", port: 587 } },
  { name: "a private address", target: { host: "10.0.0.1", port: 80 } },
  { name: "loopback in disguise", target: { host: "0x7f.1", port: 80 } },
  { name: "a mapped private address", target: { host: "::ffff:192.168.1.1", port: 80 } },
  { name: "the metadata of a cloud", target: { host: "169.254.169.254", port: 80 } },
];

for (const { name, target } of closedTargets) {
  Deno.test(`The orchestrator refuses ${name} itself, with a reason in the audit log`, async () => {
    using rig = new Rig();
    rig.add("n1");
    assertEquals((await refusalOf(rig.path().dial(target))).code, "denied");
    assertEquals([rig.dialled.length, rig.accounts.openConnections(USER)], [0, 0]);
    assertEquals(rig.told.map(({ kind }) => kind), ["target_denied"]);
  });
}

Deno.test("A name that leads to a private address is refused by the nodes, and told for the audit log", async () => {
  using rig = new Rig();
  for (const id of ["n1", "n2", "n3"]) rig.add(id, "denied");
  assertEquals((await refusalOf(rig.dial())).code, "denied");
  assertEquals(rig.told.map(({ kind }) => kind), ["target_denied_by_node"]);
  assertEquals(rig.reports, []);
});

Deno.test("A port scan is stopped and told", async () => {
  using rig = new Rig();
  rig.add("n1", "refused");
  rig.limits = { maxTargetsPerMinute: 10 };
  const codes: string[] = [];
  for (let port = 1000; port < 1020; port++) {
    codes.push((await refusalOf(rig.path().dial({ host: "site.test", port }))).code);
  }
  assertEquals(codes.filter((code) => code === "busy").length, 10);
  assertEquals([rig.dialled.length, rig.told.map(({ kind }) => kind)], [10, ["targets"]]);
});

Deno.test("A session stays with its node, also for streams that are opened at once", async () => {
  using rig = new Rig();
  for (let at = 0; at < 20; at++) rig.add(`n${at}`);
  const streams = await Promise.all(Array.from({ length: 8 }, () => rig.dial("-session-a")));
  for (const stream of streams) stream.close();
  (await rig.dial("-session-a")).close();
  assertEquals(new Set(rig.dialled).size, 1);
  const others = new Set<string>();
  for (let at = 0; at < 8; at++) {
    rig.dialled.length = 0;
    (await rig.dial(`-session-b${at}`)).close();
    others.add(rig.dialled[0]!);
  }
  assert(others.size > 1, "other sessions are elsewhere");
});

Deno.test("When its node goes, a session rotates to another and stays there", async () => {
  using rig = new Rig();
  for (const id of ["n1", "n2", "n3"]) rig.add(id);
  (await rig.dial("-session-a")).close();
  const [first] = rig.dialled;
  rig.nodes.disconnect(first!, "gone");
  for (let turn = 0; turn < 4; turn++) (await rig.dial("-session-a")).close();
  assertEquals(rig.dialled.includes(first!), true);
  assertEquals(new Set(rig.dialled.slice(1)).size, 1);
  assert(rig.dialled[1] !== first);
});

Deno.test("A session stays with its node when that one may not reach a target, and the client hears why", async () => {
  using rig = new Rig();
  for (let at = 0; at < 4; at++) rig.add(`n${at}`);
  (await rig.dial("-session-a")).close();
  const [its] = rig.dialled;
  let dials = 0;
  const its2 = rig.nodes.list.find(({ nodeId }) => nodeId === its)!;
  const open = its2.path.dial;
  its2.path.dial = (...args) => dials++ === 0 ? Promise.reject(new DialError("denied", "its port")) : open(...args);
  for (const options of ["-session-a", "-session-a-strict"]) {
    dials = 0;
    const { code, message } = await refusalOf(rig.dial(options));
    assertEquals([code, message], ["denied", "no node that was asked may reach that"]);
    (await rig.dial(options)).close();
  }
  assertEquals(new Set(rig.dialled), new Set([its]));
});

Deno.test("A strict session fails while its node is away, and has another when its time is over", async () => {
  using rig = new Rig();
  for (const id of ["n1", "n2"]) rig.add(id);
  (await rig.dial("-session-a-ttl-1m-strict")).close();
  rig.nodes.disconnect(rig.dialled[0]!, "gone");
  const error = await refusalOf(rig.dial("-session-a-ttl-1m-strict"));
  assertEquals([error.code, error.message], ["failed", "the node of this session has gone"]);
  rig.clock.advance(60_000);
  (await rig.dial("-session-a-ttl-1m-strict")).close();
  assert(rig.dialled[0] !== rig.dialled[1]);
});

Deno.test("A session whose client asks for another country gets a node there", async () => {
  using rig = new Rig();
  rig.add("n1", "ok", { country: "de" });
  rig.add("n2", "ok", { country: "fr" });
  (await rig.dial("-country-de-session-a")).close();
  (await rig.dial("-country-fr-session-a")).close();
  assertEquals(rig.dialled, ["n1", "n2"]);
});

Deno.test("A node that is quarantined is not used, neither by name nor by a session that was there", async () => {
  using rig = new Rig();
  const id = "a".repeat(26);
  rig.add(id);
  (await rig.dial(`-node-${id}-session-a`)).close();
  rig.quality.set(id, { score: 1, standing: "quarantined" });
  assertEquals((await refusalOf(rig.dial(`-node-${id}`))).code, "failed");
  assertEquals((await refusalOf(rig.dial(`-node-${id}-session-a`))).code, "failed");
  assertEquals(rig.dialled.length, 1);
});

Deno.test("A node that has just come is used at once when nothing else would do", async () => {
  using rig = new Rig();
  assertEquals((await refusalOf(rig.dial())).code, "failed");
  rig.add("n1");
  rig.clock.advance(50);
  (await rig.dial()).close();
});

Deno.test("What an account has open ends with it, and counts no more", async () => {
  using rig = new Rig();
  rig.add("n1");
  rig.limits = { maxConnections: 2 };
  const stream = await rig.dial("-country-de").catch(() => rig.dial());
  await rig.dial();
  assertEquals((await refusalOf(rig.dial())).code, "busy");
  rig.accounts.end(USER);
  await assertRejects(() => stream.read(new Uint8Array(1)));
  (await rig.dial()).close();
});

Deno.test("The same user name has the same path, so that a connection kept for it can be used again", () => {
  using rig = new Rig();
  const german = rig.path("-country-de");
  assert(rig.path("-country-de") === german);
  assert(rig.path("-country-fr") !== german);
});

Deno.test("A client's use of a node ends a while after its last stream, with what it carried", async () => {
  using rig = new Rig();
  rig.add("n1");
  for (let turn = 0; turn < 2; turn++) {
    const stream = await rig.dial();
    await writeAll(stream, new Uint8Array(100));
    stream.close();
  }
  assertEquals([...rig.accounts.sessions()].length, 1);
  rig.clock.advance(60_000);
  assertEquals(rig.sessions.map(({ kind, streams, upBytes, end }) => [kind, streams, upBytes, end]), [
    ["client", 2, 200, "unused"],
  ]);
  assertEquals(new Set(rig.booth.fares.map(({ sessionId }) => sessionId)).size, 1);
});

Deno.test("A node that takes what it is given and never answers is known for it, unless the client was impatient", async () => {
  using rig = new Rig();
  rig.add("n1");
  for (const waitedMs of [1_000, 10_000]) {
    const stream = await rig.dial();
    await writeAll(stream, new Uint8Array(10));
    rig.clock.advance(waitedMs);
    stream.close();
  }
  assertEquals(rig.reports.map(({ kind }) => kind), ["dialled", "dialled", "stalled"]);
});

Deno.test("A stream that was cut before it began leaves nothing behind", async () => {
  using rig = new Rig();
  rig.add("n1");
  const toll = rig.booth.toll.bind(rig.booth);
  rig.booth.toll = () => {
    const made = toll();
    rig.booth.cut(new DialError("denied", "suspended"));
    return made;
  };
  const stream = await rig.dial();
  assertEquals((await refusalOf(stream.read(new Uint8Array(1)))).code, "denied");
  assertEquals(rig.accounts.openConnections(USER), 0);
});
