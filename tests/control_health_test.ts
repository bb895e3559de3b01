/**
 * What decides a session's health and keeps it going, over two supernodes: probes, exits that stop, renewal, limits, UDP,
 * drains. The letters are those of the steps of the operational spec.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { TestDatagrams } from "../net/proxy/fixtures/test_kit.ts";
import { encodeBase64, encodeBase64Url } from "../protocol/encoding.ts";
import { encodeDatagramHeader, encodeGreeting, encodeRequest, parseReply, SocksCommand } from "../protocol/socks.ts";
import { parseTarget, writeAll } from "../protocol/stream.ts";
import { DelayRelay } from "../testing/delay_relay.ts";
import { Program } from "../testing/program.ts";
import { testWith } from "../testing/requirements.ts";
import { SilentRelay } from "../testing/silent_relay.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { eventually } from "../testing/waiting.ts";
import {
  admin,
  hello,
  helloAtLast,
  listedExit,
  Network,
  type Started,
  twoRegions,
} from "./fixtures/control_network.ts";
import { metricCatalogue } from "./observability/metric_catalogue.ts";

const MAIN = fromFileUrl(new URL("../roles/main.ts", import.meta.url));
/** Issue 4: from an exit's kill -9 until the client has carried out ROTATE_PEER. */
const ROTATED_WITHIN_MS = 2_000;
/** The same for a data link that carries nothing: mux notices silence within 5 s. */
const SILENCE_WITHIN_MS = 8_000;

/** A stream through the proxy to the page, which is asked for when the test wants it. */
async function openStream(proxy: string): Promise<Deno.TcpConn> {
  const { host, port } = parseTarget(proxy)!;
  const conn = await Deno.connect({ hostname: host, port });
  await writeAll(conn, new TextEncoder().encode("CONNECT hello.culvert:80 HTTP/1.1\r\n\r\n"));
  await conn.read(new Uint8Array(1024));
  return conn;
}

async function askPage(conn: Deno.TcpConn): Promise<string> {
  await writeAll(conn, new TextEncoder().encode("GET / HTTP/1.0\r\nHost: hello.culvert\r\n\r\n"));
  return await new Response(conn.readable).text();
}

async function take(conn: Deno.TcpConn, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  for (let filled = 0; filled < count;) filled += await conn.read(bytes.subarray(filled)) ?? count;
  return bytes;
}

/** A supernode as it is found behind something in between. */
function behind(at: Started, port: number): Started {
  const url = new URL(at.addresses["supernode"]!);
  url.port = String(port);
  return { ...at, addresses: { ...at.addresses, supernode: url.href } };
}

/** How many sessions there are at supernodes, with their states. */
async function sessionsAt(...supernodes: readonly Started[]): Promise<string[][]> {
  const lists = await Promise.all(supernodes.map((at) => admin(at, "GET", "/v1/sessions")));
  return lists.map(({ sessions }) => sessions.map(({ state }: { state: string }) => state));
}

function metric(text: string, name: string): number {
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(text)?.[1] ?? NaN);
}

/** A client that has probed its exit once, and will not again: it hears of trouble from its supernode alone. */
async function startQuietClient(network: Network, at: Started) {
  const client = await network.startClient(at, { region: "south", probeEvery: "1h" });
  await helloAtLast(client.proxy);
  await eventually("a probe", async () => (await client.metrics()).includes('client_probes_total{outcome="ok"} 1'));
  return client;
}

Deno.test("G: ROTATE_PEER reaches a client in another region within two seconds of its exit's kill -9", async () => {
  await using network = new Network();
  using directory = new TempDirectory();
  const { north, south } = await twoRegions(network);
  const links = network.linkCount();
  const flags = ["--region", "south", "--supernode", south.addresses["supernode"]!, "--state-dir", directory.path("x")];
  const command = [Deno.execPath(), "run", "-A", MAIN, "exit", "--json", ...flags] as const;
  await using victim = new Program([...command], { quiet: true });
  await network.until(() => network.linkCount() > links);
  await network.until(() => network.hasSaid("Base was told", { url: `http://${south.addresses["listen"]}`, exits: 1 }));
  const { proxy } = await startQuietClient(network, north);
  assertMatch(await hello(proxy), /^HTTP\/1\.[01] 200/);
  const other = await network.startExit(south, "south");
  const killedMs = performance.now();
  victim.crash();
  await network.until(() => network.hasSaid("A command was applied", { kind: "ROTATE_PEER" }));
  const tookMs = performance.now() - killedMs;
  assert(tookMs < ROTATED_WITHIN_MS, `${tookMs} ms`);
  assertStringIncludes(await hello(proxy), other.peerId);
});

Deno.test("G: an exit whose control stream is fine and whose data link is black-holed is taken out, and its sessions go", async () => {
  await using network = new Network();
  const { north, south } = await twoRegions(network);
  await using relay = SilentRelay.start(parseTarget(south.addresses["listen"]!)!);
  const mute = await listedExit(network, behind(south, relay.address.port), "south");
  const { proxy } = await startQuietClient(network, north);
  assertStringIncludes(await hello(proxy), mute.peerId);
  const other = await network.startExit(south, "south");
  const silentMs = performance.now();
  relay.fallSilent("GET /relay");
  await network.until(() => network.hasSaid("A command was applied", { kind: "ROTATE_PEER" }));
  const tookMs = performance.now() - silentMs;
  assert(tookMs < SILENCE_WITHIN_MS, `${tookMs} ms`);
  assertStringIncludes(await hello(proxy), other.peerId);
  const { peers } = await admin(south, "GET", "/v1/peers");
  assert(peers.some(({ peerId }: { peerId: string }) => peerId === mute.peerId), "its control stream is there");
  const late = await network.startClient(north, { region: "south" });
  assertStringIncludes(await hello(late.proxy), other.peerId);
});

Deno.test("G: when an exit's supernode is gone, its clients have a session by way of another", async () => {
  await using network = new Network();
  const { settings, north, south } = await twoRegions(network);
  const out = await listedExit(network, south, "south");
  const { proxy } = await startQuietClient(network, north);
  assertStringIncludes(await hello(proxy), out.peerId);
  const east = await network.startSupernode("east", settings);
  await listedExit(network, east, "south");
  await south.role[Symbol.asyncDispose]();
  // The other exit, or the same one, which has gone to a supernode that it was told of.
  await network.until(() => network.count("Streams leave through an exit") === 2);
  assertMatch(await hello(proxy), /^HTTP\/1\.[01] 200/);
  assertEquals(await sessionsAt(north), [["active"]]);
});

Deno.test("data links to exits and between supernodes are probed, and clients tell of their own probes", async () => {
  await using network = new Network();
  const { north, south } = await twoRegions(network);
  await listedExit(network, south, "south");
  const { proxy } = await network.startClient(north, { region: "south" });
  await hello(proxy);
  for (const [at, kind] of [[south, "peer"], [north, "supernode"]] as const) {
    const series = `data_link_probes_total\\{kind="${kind}",outcome="ok"\\}`;
    await eventually(`a probe to a ${kind}`, async () => new RegExp(`^${series} [1-9]`, "m").test(await at.metrics()));
  }
});

Deno.test("H: an exit that stops has its sessions moved, its streams end by themselves, and nobody keeps half of one", async () => {
  await using network = new Network();
  const { north, south } = await twoRegions(network);
  const leaving = await listedExit(network, south, "south");
  const { proxy } = await startQuietClient(network, north);
  using stream = await openStream(proxy);
  const other = await network.startExit(south, "south");
  const stopped = leaving.role.stop();
  await network.until(() => network.hasSaid("A command was applied", { kind: "ROTATE_PEER" }));
  assertStringIncludes(await hello(proxy), other.peerId);
  assertStringIncludes(await askPage(stream), leaving.peerId);
  await stopped;
  // At each supernode the session that was left.
  await network.until(() => network.count("A session has ended") >= 2);
  assertEquals(await sessionsAt(north, south), [["active"], ["active"]]);
  assertEquals(metric(await other.metrics(), "exit_sessions_active"), 1);
});

Deno.test("H: a session that an administrator ends is over everywhere, and the next stream gets another", async () => {
  await using network = new Network();
  const { north, south } = await twoRegions(network);
  const out = await listedExit(network, south, "south");
  const { proxy } = await startQuietClient(network, north);
  await hello(proxy);
  const [{ sessionId }] = (await admin(south, "GET", "/v1/sessions")).sessions;
  await admin(south, "DELETE", `/v1/sessions/${sessionId}`);
  await network.until(() => network.count("A command was applied", { kind: "DISCONNECT" }) === 2);
  assertEquals(await sessionsAt(north, south), [[], []]);
  assertEquals(metric(await out.metrics(), "exit_sessions_active"), 0);
  assertMatch(await hello(proxy), /^HTTP\/1\.[01] 200/);
});

Deno.test("a session is renewed at both supernodes and the exit while its streams go on, and ends with its client", async () => {
  await using network = new Network();
  const directory = await network.startBase();
  const settings = { base: [`http://${directory.addresses["listen"]}`], sessionLifetime: "3s" };
  const north = await network.startSupernode("north", settings);
  const south = await network.startSupernode("south", settings);
  await network.until(() => network.hasSaid("Base was told", { region: "south" }));
  const out = await listedExit(network, south, "south");
  const client = await network.startClient(north, { region: "south" });
  using stream = await openStream(client.proxy);
  const before = (await admin(north, "GET", "/v1/sessions")).sessions[0];
  const isRenewed = () => network.count("A command was applied", { kind: "SETUP_EXIT" }) >= 4;
  await network.until(isRenewed);
  for (const at of [north, south]) {
    const [now] = (await admin(at, "GET", "/v1/sessions")).sessions;
    assertEquals(now.sessionId, before.sessionId);
    assert(now.expiresAtMs > before.expiresAtMs + 3_000);
  }
  assertStringIncludes(await askPage(stream), out.peerId);
  assertEquals(network.count("Streams leave through an exit"), 1);
  await client.role[Symbol.asyncDispose]();
  await network.until(() => network.hasSaid("A command was applied", { kind: "DISCONNECT" }));
  assertEquals(await sessionsAt(north, south), [[], []]);
  assertEquals(metric(await out.metrics(), "exit_sessions_active"), 0);
});

Deno.test("UDP ASSOCIATE at a client reaches a UDP server by way of two supernodes and an exit, and its answer comes back", async () => {
  await using network = new Network();
  using directory = new TempDirectory();
  using server = new TestDatagrams();
  using local = new TestDatagrams();
  const { north, south } = await twoRegions(network);
  const policy = directory.path("policy.toml");
  await Deno.writeTextFile(policy, `allow_addresses = ["loopback"]\n[ports]\nallow = [${server.port}]\n`);
  await listedExit(network, south, "south", { egressPolicy: policy });
  const { proxy } = await network.startClient(north, { region: "south" });
  const { host, port } = parseTarget(proxy)!;
  using control = await Deno.connect({ hostname: host, port });
  await writeAll(control, encodeGreeting([0]));
  await take(control, 2);
  const announced = { host: "127.0.0.1", port: local.port };
  await writeAll(control, encodeRequest({ command: SocksCommand.udpAssociate, target: announced })!);
  const reply = parseReply(await take(control, 10));
  assert(reply.status === "done" && reply.value.reply === 0);
  const bound = reply.value.bound;
  const header = encodeDatagramHeader({ host: "127.0.0.1", port: server.port })!;
  for (const said of ["one", "two"]) {
    const wrapped = Uint8Array.from([...header, ...new TextEncoder().encode(said)]);
    await local.socket.send(wrapped, { transport: "udp", hostname: bound.host, port: bound.port });
    const [asked, from] = await server.socket.receive();
    assertEquals(new TextDecoder().decode(asked), said);
    await server.socket.send(asked, from);
    const [answer] = await local.socket.receive();
    assertEquals(new TextDecoder().decode(answer.subarray(-said.length)), said);
  }
});

Deno.test("D: an exit that is too slow or too far is not given, and the client says what there was none of", async (t) => {
  await using network = new Network();
  const { north, south } = await twoRegions(network);
  await using relay = DelayRelay.start({ to: parseTarget(south.addresses["listen"]!)!, delayMs: 20 });
  const out = await listedExit(network, behind(south, relay.address.port), "south", { bandwidth: 50 });
  const wishes = [
    { wish: { minBandwidth: 40, maxLatency: "5s" }, says: out.peerId },
    { wish: { minBandwidth: 60 }, says: "There is no exit in south, with 60 Mbit/s to spare at present" },
    { wish: { maxLatency: "20ms" }, says: "There is no exit in south, within 20 ms at present" },
  ];
  // What the exit can carry is known from its first ping on.
  const told = () => admin(south, "GET", "/v1/peers");
  await eventually("the exit's telemetry", async () => (await told()).peers[0].telemetry !== undefined);
  for (const { wish, says } of wishes) {
    await t.step(JSON.stringify(wish), async () => {
      const { proxy } = await network.startClient(north, { region: "south", ...wish });
      assertStringIncludes(await hello(proxy), says);
    });
  }
});

Deno.test("a drained supernode names others that have no exits; streams finish, and sessions move make before break", async () => {
  await using network = new Network();
  const { settings, north, south } = await twoRegions(network);
  const out = await listedExit(network, south, "south");
  const other = await network.startSupernode("north", settings);
  await network.until(() => network.hasSaid("Base was told", { url: `http://${other.addresses["listen"]}` }));
  const { proxy } = await network.startClient(north, { region: "south" });
  using stream = await openStream(proxy);
  await admin(north, "POST", "/v1/drain", { leaveWithinMs: 500 });
  await network.until(() => network.count("Streams leave through an exit") === 2);
  assertEquals((await admin(other, "GET", "/v1/streams")).total, 1);
  assertStringIncludes(await hello(proxy), out.peerId);
  assertStringIncludes(await askPage(stream), out.peerId);
  assertEquals(await sessionsAt(other), [["active"]]);
});

Deno.test("a peer without a data plane answers RELAY_SETUP that it does no such thing, and serves what comes after it", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  const { peerId } = await network.startExit(here, "north");
  const key = encodeBase64(new Uint8Array(32));
  const payload = {
    clientPeerId: peerId,
    clientWireguardKey: key,
    exitPeerId: peerId,
    exitWireguardKey: key,
    relayAddress: "10.200.0.1/32",
    expiresAtMs: Date.now() + 60_000,
  };
  const sessionId = encodeBase64Url(new Uint8Array(16));
  const command = { kind: "RELAY_SETUP", sessionId, payload, timeoutMs: 5_000 };
  const answer = await admin(here, "POST", "/v1/commands", { peerId, command });
  assertEquals([answer.ok, answer.reason, answer.result.status], [false, "refused", "unsupported"]);
  const { proxy } = await network.startClient(here);
  assertMatch(await hello(proxy), /^HTTP\/1\.[01] 200/);
});

/** Names that promtool would have otherwise, and that are given. */
const NAMED_BY_THE_DESIGN = ["active_streams_total", "peer_heartbeat_latency_ms", "wg_peers_count"];

/** What it finds fault with. */
async function promtool(text: string): Promise<string[]> {
  const child = new Deno.Command("promtool", { args: ["check", "metrics"], stdin: "piped", stderr: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { stderr } = await child.output();
  return new TextDecoder().decode(stderr).split("\n").filter((line) => line !== "");
}

const SUPERNODE_METRICS = [
  "active_streams_total",
  "stream_auth_failures_total",
  "peer_heartbeat_latency_ms",
  "command_latency_seconds",
  "command_success_total",
  "command_failure_total",
  "wg_peers_count",
  "relay_sessions_active",
  "supernode_cpu_pct",
  "supernode_net_tx_mbps",
  "supernode_net_rx_mbps",
];

testWith({ tools: ["promtool"] }, "every metric of the design is there, and promtool finds no fault", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  const out = await network.startExit(here, "north");
  const client = await network.startClient(here);
  await hello(client.proxy);
  const texts = { supernode: await here.metrics(), exit: await out.metrics(), client: await client.metrics() };
  const names = {
    supernode: [...SUPERNODE_METRICS, "data_link_probes_total", "session_rotations_total"],
    exit: ["exit_sessions_active", "exit_sealed_streams_total", "exit_probes_total", "peer_commands_total"],
    client: ["client_sessions_active", "client_sessions_total", "client_probes_total", "client_probe_latency_seconds"],
  };
  const catalogue = new Set((await metricCatalogue()).map(({ name }) => name));
  for (const role of ["supernode", "exit", "client"] as const) {
    for (const name of names[role]) assertStringIncludes(texts[role], `# TYPE ${name} `);
    for (const [, name] of texts[role].matchAll(/^# TYPE (\S+)/gm)) {
      assert(catalogue.has(name!), `${name} is in no list`);
    }
    const faults = (await promtool(texts[role])).filter((line) => !NAMED_BY_THE_DESIGN.includes(line.split(" ")[0]!));
    assertEquals(faults, [], role);
  }
});

Deno.test("log lines about peers, commands and sessions name them by the same fields everywhere", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  const { peerId } = await network.startExit(here, "north");
  const { proxy } = await network.startClient(here);
  await hello(proxy);
  assert(network.hasSaid("A peer has come", { peer_id: peerId, role: "exit", region: "north" }));
  const [applied] = network.said("A command was applied", { kind: "SETUP_EXIT" });
  const [used] = network.said("Streams leave through an exit", { exit: peerId });
  assertEquals(applied!["session_id"], used!["session_id"]);
  assertMatch(String(applied!["command_id"]), /^[\w-]{22}$/);
});
