/** What our tables do to packets: a client, a router with our table, and a server that knows no way back to the client. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { ct, icmp, ip, mark, not, oifname, tcp, udp } from "../protocol/nftables/fields.ts";
import { comment, type Rule, rule } from "../protocol/nftables/rule.ts";
import type { NamedSet } from "../protocol/nftables/sets.ts";
import {
  accept,
  clampMss,
  connections,
  counter,
  dnat,
  drop,
  limit,
  masquerade,
  meter,
  notrack,
} from "../protocol/nftables/statements.ts";
import { type BaseChain, Priority, type Table } from "../protocol/nftables/table.ts";
import { NetLab, type NetNamespace } from "../testing/netns.ts";
import { testWith } from "../testing/requirements.ts";
import { inNamespace } from "./fixtures/in_namespace.ts";
import { type Libc, openLibc } from "./libc.ts";
import { Nft } from "./nft.ts";

const needs = { netns: true, tools: ["ip", "nft", "curl", "ping", "tcpdump"] };

const CLIENT = "10.201.0.2";
const ROUTER = "192.0.2.1";
const SERVER = "192.0.2.2";
const CLIENT6 = "fd01::2";
const ROUTER6 = "fd02::1";
const SERVER6 = "fd02::2";
/** How long a packet is waited for that has not been dropped. */
const DEADLINE_MS = 5000;

interface Scene {
  readonly client: NetNamespace;
  readonly router: NetNamespace;
  readonly server: NetNamespace;
  /** The router's tables. */
  readonly nft: Nft;
  readonly libc: Libc;
}

function testOnPath(name: string, run: (scene: Scene) => Promise<void>): void {
  testWith(needs, name, async () => {
    await using lab = await NetLab.open();
    const [client, router, server] = [
      await lab.namespace("client"),
      await lab.namespace("router"),
      await lab.namespace("server"),
    ];
    await lab.connect(client, `${CLIENT}/24`, router, "10.201.0.1/24");
    await lab.connect(router, `${ROUTER}/24`, server, `${SERVER}/24`);
    for (
      const [namespace, device, address] of [
        [client, "eth0", CLIENT6],
        [router, "eth0", "fd01::1"],
        [router, "eth1", ROUTER6],
        [server, "eth0", SERVER6],
      ] as const
    ) await namespace.run(["ip", "address", "add", `${address}/64`, "dev", device, "nodad"]);
    await client.run(["ip", "route", "add", "default", "via", "10.201.0.1"]);
    await client.run(["ip", "-6", "route", "add", "default", "via", "fd01::1"]);
    await router.run(["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
    using libc = openLibc();
    using nft = inNamespace(router, () => new Nft(libc));
    await run({ client, router, server, nft, libc });
  });
}

const forward: BaseChain = { type: "filter", hook: "forward", priority: Priority.filter };
const nat: Table["chains"][number] = {
  name: "postrouting",
  base: { type: "nat", hook: "postrouting", priority: Priority.srcnat },
  rules: [rule(oifname("eth1"), counter(), comment("out"), masquerade())],
};

/** The router's table with these rules for what it forwards, and NAT. */
function table(rules: readonly Rule[], base: BaseChain = forward): Table {
  return { name: "culvert_test", chains: [nat, { name: "forwarding", base, rules }] };
}

/** Answers HTTP with the address it was asked from. */
function whoAmI(namespace: NetNamespace, hostname: string): Deno.HttpServer<Deno.NetAddr> {
  const handler = (_: Request, { remoteAddr }: { remoteAddr: Deno.Addr }) =>
    new Response((remoteAddr as Deno.NetAddr).hostname);
  return inNamespace(namespace, () => Deno.serve({ hostname, port: 0, onListen() {}, handler }));
}

async function curl(from: NetNamespace, host: string, port: number): Promise<string> {
  const name = host.includes(":") ? `[${host}]` : host;
  return (await from.run(["curl", "-sS", "--max-time", "5", `http://${name}:${port}/`])).stdout;
}

testOnPath("masquerading translates v4 and v6, and counts connections", async ({ client, server, nft }) => {
  nft.replaceTable(table([]));
  for (const [host, from] of [[SERVER, ROUTER], [SERVER6, ROUTER6]] as const) {
    await using http = whoAmI(server, host);
    assertEquals(await curl(client, host, http.addr.port), from);
    assertEquals(await curl(client, host, http.addr.port), from);
  }
  const counted = nft.rules("culvert_test").find((rule) => rule.comment === "out")?.counter;
  assertEquals(counted?.packets, 4, "the first packet of each connection");
  nft.replaceTable(table([]));
  assertEquals(nft.rules("culvert_test")[0]?.counter, { packets: 0, bytes: 0 }, "a new table counts anew");
});

testOnPath("a port of the router leads to the client", async ({ client, server, nft }) => {
  await using http = whoAmI(client, CLIENT);
  const rules = [rule(ip.daddr(ROUTER), tcp.dport(8080), dnat({ address: CLIENT, port: http.addr.port }))];
  nft.replaceTable(table(rules, { type: "nat", hook: "prerouting", priority: Priority.dstnat }));
  assertEquals(await curl(server, ROUTER, 8080), SERVER);
});

/** The largest segment in the first SYN that reaches the server. */
async function mssAtServer({ client, server }: Scene): Promise<string | undefined> {
  await using http = whoAmI(server, SERVER);
  const filter = `tcp dst port ${http.addr.port} and tcp[tcpflags] & tcp-syn != 0`;
  const child = server.spawn(["tcpdump", "-i", "eth0", "-nnvlc1", filter], {
    stdout: "piped",
    stderr: "piped",
    stdin: "null",
  });
  const said = child.stderr.getReader();
  // It says so once it sees packets.
  for (let text = ""; !text.includes("listening");) text += new TextDecoder().decode((await said.read()).value);
  const [{ stdout }] = await Promise.all([output(child, said), curl(client, SERVER, http.addr.port)]);
  return /mss (\d+)/.exec(stdout)?.[1];
}

async function output(
  child: Deno.ChildProcess,
  said: ReadableStreamDefaultReader<Uint8Array>,
): Promise<{ stdout: string }> {
  const stdout = await new Response(child.stdout).text();
  await said.cancel();
  await child.status;
  return { stdout };
}

testOnPath("segments are made to fit what we say, or the route", async (scene) => {
  const { nft, router } = scene;
  nft.replaceTable(table([]));
  assertEquals(await mssAtServer(scene), "1460");
  nft.replaceTable(table([rule(clampMss(1200))]));
  assertEquals(await mssAtServer(scene), "1200");
  nft.replaceTable(table([rule(clampMss("route"))]));
  await router.run(["ip", "link", "set", "eth1", "mtu", "1300"]);
  assertEquals(await mssAtServer(scene), "1260");
  nft.replaceTable(table([rule(clampMss(1400))]));
  assertEquals(await mssAtServer(scene), "1400", "the kernel checks no route unless told");
  nft.replaceTable(table([rule(clampMss(9000))]));
  assertEquals(await mssAtServer(scene), "1460", "it is never made larger");
});

/** Sends datagrams from an address of the client to the server's port 9. */
async function send(
  { client }: Scene,
  from: string,
  { count, bytes }: { count: number; bytes: number },
): Promise<void> {
  using socket = inNamespace(client, () => closing(Deno.listenDatagram({ transport: "udp", hostname: from, port: 0 })));
  const datagram = new Uint8Array(bytes);
  const to: Deno.NetAddr = { transport: "udp", hostname: SERVER, port: 9 };
  for (let sent = 0; sent < count; sent++) await socket.conn.send(datagram, to);
}

function closing(conn: Deno.DatagramConn): { conn: Deno.DatagramConn } & Disposable {
  return { conn, [Symbol.dispose]: () => conn.close() };
}

/** What the router's counters have counted, by their comments, once they have counted so many packets together. */
async function counted(nft: Nft, total: number): Promise<Record<string, number>> {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const counts = nft.rules("culvert_test").filter(({ chain, counter }) => chain === "forwarding" && counter)
      .map(({ comment, counter }) => [comment ?? "", counter!.packets] as const);
    if (counts.reduce((sum, [, packets]) => sum + packets, 0) >= total || performance.now() > deadline) {
      return Object.fromEntries(counts);
    }
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

testOnPath("each client may send at its own rate", async (scene) => {
  const { client, nft } = scene;
  const OTHER = "10.201.0.3";
  await client.run(["ip", "address", "add", `${OTHER}/24`, "dev", "eth0"]);
  const meters = { name: "rates", key: "ipv4_addr", dynamic: { maxElements: 16, timeoutMs: 60_000 } } as const;
  const tableWith = (rate: Parameters<typeof limit>[0]): Table => ({
    ...table([
      rule(udp.dport(9), meter("rates", ip.saddr, limit(rate)), counter(), comment("dropped"), drop()),
      rule(udp.dport(9), counter(), comment("passed")),
    ]),
    sets: [meters],
  });
  nft.replaceTable(tableWith({ packets: 1, per: "day", burst: 7, over: true }));
  await send(scene, CLIENT, { count: 50, bytes: 10 });
  assertEquals(await counted(nft, 50), { dropped: 43, passed: 7 });
  await send(scene, OTHER, { count: 3, bytes: 10 });
  assertEquals(await counted(nft, 53), { dropped: 43, passed: 10 });
  const keys = nft.elements("culvert_test", "rates").map(({ key }) => key.join("."));
  assertEquals(keys.toSorted(), [CLIENT, OTHER]);

  // 972 bytes and 28 of headers: ten fit what a day allows.
  nft.replaceTable(tableWith({ bytes: 10_000, per: "day", over: true }));
  await send(scene, CLIENT, { count: 50, bytes: 972 });
  assertEquals(await counted(nft, 50), { dropped: 40, passed: 10 });
});

testOnPath("each client may have so many connections", async (scene) => {
  const { client, nft } = scene;
  const OTHER = "10.201.0.3";
  await client.run(["ip", "address", "add", `${OTHER}/24`, "dev", "eth0"]);
  const rules = [
    rule(udp.dport(9), ct.state("new"), meter("open", ip.saddr, connections({ over: 3 })), counter(), drop()),
    rule(udp.dport(9), counter(), comment("passed")),
  ];
  nft.replaceTable({ ...table(rules), sets: [{ name: "open", key: "ipv4_addr", dynamic: { maxElements: 16 } }] });
  // Each of these is from a port of its own.
  for (let sent = 0; sent < 5; sent++) await send(scene, CLIENT, { count: 1, bytes: 10 });
  assertEquals(await counted(nft, 5), { "": 2, passed: 3 });
  for (let sent = 0; sent < 3; sent++) await send(scene, OTHER, { count: 2, bytes: 10 });
  assertEquals(await counted(nft, 11), { "": 2, passed: 9 });
});

testOnPath("each client's traffic is counted", async (scene) => {
  const { nft } = scene;
  const sets = [{ name: "traffic", key: "ipv4_addr", dynamic: { maxElements: 16 } }] as const;
  nft.replaceTable({ ...table([rule(udp.dport(9), meter("traffic", ip.saddr, counter()), counter())]), sets });
  await send(scene, CLIENT, { count: 5, bytes: 100 });
  await counted(nft, 5);
  assertEquals(nft.elements("culvert_test", "traffic").map(({ counter }) => counter), [{ packets: 5, bytes: 640 }]);
});

testOnPath("what is not to be tracked is not", async (scene) => {
  const { nft } = scene;
  const chains: Table["chains"] = [
    {
      name: "early",
      base: { type: "filter", hook: "prerouting", priority: Priority.raw },
      rules: [rule(udp.dport(9), notrack())],
    },
    {
      name: "forwarding",
      base: forward,
      rules: [rule(ct.state("untracked"), counter(), comment("untracked")), rule(ct.state("new"), counter())],
    },
  ];
  nft.replaceTable({ name: "culvert_test", chains });
  await send(scene, CLIENT, { count: 3, bytes: 10 });
  assertEquals(await counted(nft, 3), { untracked: 3, "": 0 });
});

testOnPath("a set that changes matches what is in it at the time", async (scene) => {
  const { nft } = scene;
  const hosts: NamedSet = { name: "hosts", key: "ipv4_addr", hasIntervals: true };
  const rules = [
    rule(udp.dport(9), ip.daddr({ inSet: "hosts" }), counter(), comment("in")),
    rule(udp.dport(9), ip.daddr(not({ inSet: "hosts" })), counter(), comment("out")),
  ];
  nft.replaceTable({ ...table(rules), sets: [hosts] });
  const sendOne = () => send(scene, CLIENT, { count: 1, bytes: 10 });
  await sendOne();
  assertEquals(await counted(nft, 1), { in: 0, out: 1 });
  nft.changeSet("culvert_test", hosts, { add: ["192.0.2.4/30"] });
  await sendOne();
  assertEquals(await counted(nft, 2), { in: 0, out: 2 });
  nft.changeSet("culvert_test", hosts, { add: ["192.0.2.0/31", "192.0.2.2/31"] });
  await sendOne();
  assertEquals(await counted(nft, 3), { in: 1, out: 2 });
  nft.changeSet("culvert_test", hosts, { remove: ["192.0.2.2/31"] });
  await sendOne();
  assertEquals(await counted(nft, 4), { in: 1, out: 3 });
});

/** What curl gives: 7 where it was refused, 28 where nobody answered. */
async function knock(from: NetNamespace, port: number): Promise<number> {
  const url = `http://${SERVER}:${port}/`;
  return (await from.run(["curl", "-s", "--max-time", "1", url], { mayFail: true })).code;
}

testOnPath("resets of one port stay here, those of others leave", async ({ client, server, nft, libc }) => {
  nft.replaceTable(table([]));
  using own = inNamespace(server, () => new Nft(libc));
  const output: BaseChain = { type: "filter", hook: "output", priority: Priority.raw };
  const rules = [rule(tcp.sport(4443), tcp.flags({ set: ["rst"] }), counter(), drop())];
  own.replaceTable({ name: "culvert_rst", chains: [{ name: "resets", base: output, rules }] });
  assertEquals([await knock(client, 4443), await knock(client, 4444)], [28, 7]);
  assertEquals(own.rules("culvert_rst")[0]?.counter?.packets, 1);
  own.deleteTable("culvert_rst");
  assertEquals(await knock(client, 4443), 7);
});

const MARK = 51_820;

const killSwitch: Table = {
  name: "culvert_kill",
  comment: "only the tunnel leaves",
  chains: [{
    name: "leaving",
    base: { type: "filter", hook: "output", priority: Priority.filter, policy: "drop" },
    rules: [rule(oifname("lo"), accept()), rule(mark(MARK), counter(), accept())],
  }],
};

async function pings(from: NetNamespace, ...options: string[]): Promise<boolean> {
  const { code } = await from.run(["ping", "-c1", "-W1", ...options], { mayFail: true });
  return code === 0;
}

testOnPath("a kill switch lets only what is marked leave, and outlives who set it", async (scene) => {
  const { client, nft, libc } = scene;
  nft.replaceTable(table([]));
  assertEquals([await pings(client, SERVER), await pings(client, SERVER6)], [true, true]);
  const before = (await client.run(["nft", "list", "ruleset"])).stdout;
  {
    using own = inNamespace(client, () => new Nft(libc));
    own.replaceTable(killSwitch);
  }
  const marked = ["-m", String(MARK)];
  assertEquals([await pings(client, SERVER), await pings(client, SERVER6)], [false, false]);
  assertEquals([await pings(client, ...marked, SERVER), await pings(client, ...marked, SERVER6)], [true, true]);
  assert(await pings(client, "127.0.0.1"));
  using next = inNamespace(client, () => new Nft(libc));
  assertEquals(next.rules("culvert_kill").map(({ counter }) => counter?.packets), [undefined, 2]);
  assert(next.deleteTable("culvert_kill"));
  assertEquals((await client.run(["nft", "list", "ruleset"])).stdout, before);
  assert(await pings(client, SERVER));
});

testOnPath("replacing a table lets nothing through, and drops nothing, in between", async ({ client, server, nft }) => {
  const OTHER = "192.0.2.3";
  await server.run(["ip", "address", "add", `${OTHER}/24`, "dev", "eth0"]);
  const guarded = table([rule(ip.daddr(SERVER), accept()), rule(ct.state("established"), accept())], {
    ...forward,
    policy: "drop",
  });
  nft.replaceTable(guarded);
  const { signal, abort } = stopper();
  const replacing = replaceUntil(signal, () => nft.replaceTable(guarded));
  const [allowed, denied] = await Promise.all([
    client.run(["ping", "-q", "-c", "1000", "-i", "0.001", SERVER]),
    client.run(["ping", "-q", "-c", "250", "-i", "0.004", "-W", "1", OTHER], { mayFail: true }),
  ]);
  abort();
  assert(await replacing > 20);
  assertMatch(allowed.stdout, / 0% packet loss/);
  assertStringIncludes(denied.stdout, "0 received, 100% packet loss");
});

function stopper(): { signal: AbortSignal; abort: () => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort() };
}

async function replaceUntil(signal: AbortSignal, replace: () => void): Promise<number> {
  let times = 0;
  for (; !signal.aborted; times++) {
    replace();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return times;
}

testOnPath("one kind of message is told from another", async ({ client, nft }) => {
  nft.replaceTable(
    table([rule(icmp.type(8), counter(), comment("asked")), rule(icmp.type(0), counter(), comment("told"))]),
  );
  assert(await pings(client, SERVER));
  assertEquals(await counted(nft, 2), { asked: 1, told: 1 });
});
