/** Packets through an exit, in namespaces: what passes, what does not, and that nothing is left. */

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { inNamespace } from "../../../native/fixtures/in_namespace.ts";
import type { PacketGrant } from "../../../protocol/control/packets.ts";
import type { NetNamespace } from "../../../testing/netns.ts";
import { testWith } from "../../../testing/requirements.ts";
import { eventually } from "../../../testing/waiting.ts";
import { culvertUserspace, wireguardGo, type WireGuardMaker } from "../../../testing/wireguard_rig.ts";
import type { PacketsTelemetry } from "./exit_packets.ts";
import { lookUp, NameServer, probe, PROBE_ID, watchSegments } from "./fixtures/client_tools.ts";
import {
  EXIT_OUTSIDE,
  EXIT_OUTSIDE6,
  GATEWAY,
  INTERNET,
  INTERNET6,
  type LabClient,
  OFFICE,
  PacketLab,
} from "./fixtures/packet_lab.ts";

const needs = {
  netns: true,
  tools: ["ip", "nft", "wg", "wireguard-go", "curl", "ping", "sysctl", "iperf3", "ss", "tcpdump"],
  files: ["/dev/net/tun"],
};

const RATE_MBPS = 20;

/** Answers HTTP with the address it was asked from. */
function whoAmI(namespace: NetNamespace, hostname: string, port = 0): Deno.HttpServer<Deno.NetAddr> {
  const handler = (_: Request, { remoteAddr }: { remoteAddr: Deno.Addr }) =>
    new Response((remoteAddr as Deno.NetAddr).hostname);
  return inNamespace(namespace, () => Deno.serve({ hostname, port, onListen() {}, handler }));
}

const makers: Readonly<Record<string, WireGuardMaker>> = {
  "wireguard-go": wireguardGo(),
  "our own device": culvertUserspace(),
};

for (const [name, maker] of Object.entries(makers)) {
  testWith(
    needs,
    `${name} as the client: what it sends leaves from the exit's address, and nothing is left`,
    async () => {
      await using lab = await PacketLab.open();
      const client = await lab.client(maker);
      const before = await lab.stateOf(lab.exit);
      const exit = await lab.startExit();
      const grant = await exit.admit(client);
      assertEquals(grant.mtu, 1420);
      assert(await client.pings(GATEWAY));
      assert(await client.pings(INTERNET));
      assert(await client.pings(INTERNET6));
      await using http = whoAmI(lab.internet, INTERNET);
      await using http6 = whoAmI(lab.internet, INTERNET6);
      assertEquals(await client.fetches(INTERNET, http.addr.port), EXIT_OUTSIDE);
      assertEquals(await client.fetches(INTERNET6, http6.addr.port), EXIT_OUTSIDE6);
      assertEquals(await exit.program.stop(), 0);
      assertEquals(await lab.stateOf(lab.exit), before);
    },
  );
}

testWith(needs, "what a killed exit leaves, the next one takes away", async () => {
  await using lab = await PacketLab.open();
  const client = await lab.client();
  const before = await lab.stateOf(lab.exit);
  const first = await lab.startExit();
  await first.admit(client);
  first.program.crash();
  await first.program.ended();
  assertStringIncludes(await lab.stateOf(lab.exit), "net.ipv4.ip_forward = 1");
  const next = await lab.startExit();
  await next.admit(client);
  assert(await client.pings(INTERNET));
  assertEquals(await next.program.stop(), 0);
  assertEquals(await lab.stateOf(lab.exit), before);
});

testWith(needs, "the packet filter cannot be flushed from under an exit", async () => {
  await using lab = await PacketLab.open();
  const client = await lab.client();
  const exit = await lab.startExit();
  await exit.admit(client);
  assert(await client.pings(INTERNET));
  await lab.exit.run(["nft", "flush", "ruleset"]);
  assert(!await client.pings(OFFICE));
  assert(await client.pings(INTERNET));
});

testWith(needs, "clients reach the internet and the gateway, and nothing else", async () => {
  await using lab = await PacketLab.open();
  const [client, other] = [await lab.client(), await lab.client()];
  const exit = await lab.startExit();
  await exit.admit(client);
  const grant = await exit.admit(other);
  assert(await client.pings(INTERNET) && await other.pings(INTERNET), "the internet");
  assert(!await client.pings(grant.addresses[0]!.split("/")[0]!), "another client");
  assert(!await client.pings(grant.addresses[1]!.split("/")[0]!), "another client's IPv6 address");
  assert(!await client.pings(OFFICE), "a private network");
  assert(!await client.pings(EXIT_OUTSIDE), "the exit's own address");
  assert(!await client.pings("169.254.169.254"), "link-local");
  await using mail = whoAmI(lab.internet, INTERNET, 25);
  await using web = whoAmI(lab.internet, INTERNET, 80);
  await using ssh = whoAmI(lab.exit, "0.0.0.0", 22);
  assertEquals([mail.addr.port, ssh.addr.port], [25, 22]);
  assertEquals(await client.fetches(INTERNET, web.addr.port), EXIT_OUTSIDE);
  for (const [host, port] of [[INTERNET, 25], [GATEWAY, 22], [EXIT_OUTSIDE, 22]] as const) {
    assertEquals(await client.fetches(host, port), 7, `${host}:${port} is closed, and said to be`);
  }
  // What the policy opens, without a new connection of the device.
  await exit.call({ policy: { allow_addresses: ["10.99.0.0/24"], ports: { deny: [80] } } });
  assert(await client.pings(OFFICE));
  assertEquals(await client.fetches(INTERNET, 80), 7);
});

testWith(needs, "neighbours of the exit do not reach its gateway, nor clients", async () => {
  await using lab = await PacketLab.open();
  const client = await lab.client();
  const exit = await lab.startExit();
  const [address] = (await exit.admit(client)).addresses;
  assert(await client.pings(INTERNET));
  await lab.internet.run(["ip", "route", "add", "10.201.0.0/16", "via", EXIT_OUTSIDE]);
  for (const host of [GATEWAY, address!.split("/")[0]!]) {
    const { code } = await lab.internet.run(["ping", "-c1", "-W1", host], { mayFail: true });
    assertEquals(code, 1, host);
  }
});

testWith(
  needs,
  "clients' packets come from the tunnel alone: no neighbour sends in their place, and none pass by another name",
  async () => {
    await using lab = await PacketLab.open();
    const client = await lab.client();
    const exit = await lab.startExit();
    const [address] = (await exit.admit(client)).addresses;
    assert(await client.pings(INTERNET));
    const heard = async () => /^Icmp: \d.*$/m.exec((await lab.office.run(["cat", "/proc/net/snmp"])).stdout)![0];
    const before = await heard();
    await lab.exit.run(["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.eth0.rp_filter=0"]);
    await lab.internet.run(["ip", "address", "add", address!, "dev", "lo"]);
    await lab.internet.run(["ip", "route", "add", "10.99.0.0/24", "via", EXIT_OUTSIDE]);
    await lab.internet.run(["ping", "-c1", "-W1", "-I", address!.split("/")[0]!, OFFICE], { mayFail: true });
    assertEquals(await heard(), before, "a neighbour's packet under a client's address was passed on");
    // An interface that is up can be renamed since Linux 6.2.
    const renaming = ["ip", "link", "set", lab.interfaceName, "name", "other"];
    if ((await lab.exit.run(renaming, { mayFail: true })).code !== 0) return;
    assert(!await client.pings(OFFICE), "through an interface of another name");
    assertEquals(await heard(), before);
  },
);

testWith(needs, "a client is let in again with the addresses it had, and shut out with its last session", async () => {
  await using lab = await PacketLab.open();
  const client = await lab.client();
  const exit = await lab.startExit();
  const order = { clientKey: client.key, setup: { relay: client.relay }, wishes: ["10.201.77.7/32"] };
  const first = await exit.call({ setUp: { ...order, sessionId: "first" } }) as PacketGrant;
  assertEquals(first.addresses[0], "10.201.77.7/32");
  await client.setUp(first);
  assert(await client.pings(INTERNET));
  assertEquals(await exit.call({ setUp: { ...order, sessionId: "second", wishes: [] } }), first);
  await exit.call({ remove: "first" });
  assert(await client.pings(INTERNET));
  await exit.call({ remove: "second" });
  assert(!await client.pings(INTERNET));
  assertEquals(await exit.call({ setUp: { ...order, sessionId: "third", wishes: first.addresses } }), first);
  await eventually("a new handshake", () => client.pings(INTERNET));
  for (const wrong of ["nowhere.invalid:1", "192.168.51.2:0", "192.168.51.2"]) {
    const failed = exit.call({ setUp: { ...order, sessionId: "fourth", setup: { relay: wrong } } });
    await assertRejects(() => failed, Error, "Cannot find the relay");
  }
});

testWith(needs, "names are looked up through the gateway, over UDP and TCP, and probes are answered", async () => {
  await using lab = await PacketLab.open();
  const client = await lab.client();
  const exit = await lab.startExit();
  const grant = await exit.admit(client);
  assertEquals(grant.dns, grant.gateways);
  await using _server = new NameServer(lab.internet, INTERNET);
  for (const gateway of grant.gateways) {
    assertEquals(await lookUp(client.namespace, gateway, "udp"), "45.45.45.45");
    assertEquals(await lookUp(client.namespace, gateway, "tcp"), "45.45.45.45");
    assertEquals(await probe(client.namespace, gateway), { type: "probe.answer", id: PROBE_ID, ok: true });
  }
  await exit.call({ isOk: false });
  assertEquals(await probe(client.namespace, GATEWAY), { type: "probe.answer", id: PROBE_ID, ok: false });
});

testWith(needs, "segments of TCP are made to fit the tunnel, both ways", async () => {
  await using lab = await PacketLab.open();
  const client = await lab.client();
  const exit = await lab.startExit();
  await exit.admit(client);
  // The client's own interface would allow more than the exit's.
  await client.namespace.run(["ip", "link", "set", client.interfaceName, "mtu", "1500"]);
  await using http = whoAmI(lab.internet, INTERNET);
  const [outside, inside] = [
    await watchSegments(lab.internet, "eth0", http.addr.port),
    await watchSegments(client.namespace, client.interfaceName, http.addr.port),
  ];
  assertEquals(await client.fetches(INTERNET, http.addr.port), EXIT_OUTSIDE);
  assertEquals([await outside.seen, await inside.seen], [["1380", "1460"], ["1460", "1380"]]);
});

/** How much TCP carries between a client and the internet, in Mbit/s, once what may come at once has. */
async function measure(lab: PacketLab, client: LabClient, ...flags: string[]): Promise<number> {
  lab.internet.spawn(["iperf3", "-s", "-1", "-B", INTERNET], { stdout: "null", stderr: "null" });
  await eventually("iperf3 listens", async () => (await lab.internet.run(["ss", "-Hltn"])).stdout.includes(":5201"));
  const command = ["iperf3", "-J", "-c", INTERNET, "-t", "3", "-O", "2", "--connect-timeout", "5000", ...flags];
  const { end } = JSON.parse((await client.namespace.run(command)).stdout);
  return end.sum_received.bits_per_second / 1e6;
}

testWith(needs, "each client has its rate, sending and receiving", async () => {
  await using lab = await PacketLab.open();
  const client = await lab.client();
  const exit = await lab.startExit({ clientRate: RATE_MBPS });
  await exit.admit(client);
  for (const direction of [[], ["-R"]]) {
    const mbps = await measure(lab, client, ...direction);
    assert(mbps > RATE_MBPS * 0.6 && mbps < RATE_MBPS * 1.1, `${direction}: ${mbps} Mbit/s`);
  }
  const { key: clientKey, relay } = client;
  await exit.call({
    setUp: { sessionId: "many", clientKey, setup: { relay, isTerminated: true }, wishes: [] },
  });
  const free = await measure(lab, client);
  assert(free > RATE_MBPS * 1.5, `not held against a supernode: ${free} Mbit/s`);
  const { wireguard, packets } = await exit.call({ telemetry: true }) as PacketsTelemetry;
  assertEquals([packets?.limitMbps, wireguard?.peers], [RATE_MBPS, undefined]);
  await eventually("the device's report", async () => {
    const { wireguard } = await exit.call({ telemetry: true }) as PacketsTelemetry;
    return wireguard?.peers === 1 && wireguard.rxBytes > 1e6 && wireguard.lastHandshakeAgeMs! < 60_000;
  });
});

testWith(needs, "an interface that is taken away from outside ends the exit with the reason", async () => {
  await using lab = await PacketLab.open();
  const before = await lab.stateOf(lab.exit);
  const exit = await lab.startExit();
  await lab.exit.run(["ip", "link", "delete", lab.interfaceName]);
  const { error } = await exit.program.readJson();
  assertStringIncludes(String(error), "Cannot carry packets any more");
  await exit.program.ended();
  assertEquals(await lab.stateOf(lab.exit), before);
});

testWith(needs, "an interface that others have made is left alone, as is one in use", async () => {
  await using lab = await PacketLab.open();
  await lab.exit.run(["ip", "link", "add", lab.interfaceName, "type", "veth", "peer", "name", "other"]);
  const before = await lab.stateOf(lab.exit);
  assertStringIncludes(String((await lab.startExit()).ready.error), "must not exist yet");
  assertEquals(await lab.stateOf(lab.exit), before);
  await lab.exit.run(["ip", "link", "delete", lab.interfaceName]);
  const exit = await lab.startExit();
  assertStringIncludes(String((await lab.startExit()).ready.error), `in use by process ${exit.program.pid}`);
  await exit.admit(await lab.client());
});

testWith(needs, "a start that fails half way takes back what it did", async () => {
  await using lab = await PacketLab.open();
  const before = await lab.stateOf(lab.exit);
  const everywhere = { transport: "udp", hostname: "0.0.0.0", port: 53 } as const;
  const other = inNamespace(lab.exit, () => Deno.listenDatagram(everywhere));
  try {
    assertStringIncludes(String((await lab.startExit()).ready.error), "port 53 of 10.201.0.1 must be free");
  } finally {
    other.close();
  }
  assertEquals(await lab.stateOf(lab.exit), before);
  const own = await lab.startExit({ pool: "10.99.0.0/16" });
  assertStringIncludes(String(own.ready.error), "the pool 10.99.0.0/16 must hold no address of this machine, and eth1");
  assertEquals(await lab.stateOf(lab.exit), before);
  assertStringIncludes(String((await lab.startExit({ pool: "10.201.0.0/30" })).ready.error), "from /8 to /29");
});

testWith(needs, "what the kernel changes beside forwarding is put back too", async () => {
  await using lab = await PacketLab.open();
  await lab.exit.run(["sysctl", "-qw", "net.ipv4.conf.all.accept_redirects=0", "net.ipv6.conf.eth0.accept_ra=1"]);
  await lab.exit.run(["ip", "-6", "route", "add", "default", "via", INTERNET6, "proto", "ra"]);
  const before = await lab.stateOf(lab.exit);
  const exit = await lab.startExit();
  const setting = async (name: string) => (await lab.exit.run(["sysctl", "-n", name])).stdout.trim();
  assertEquals(await setting("net.ipv6.conf.eth0.accept_ra"), "2", "so that the router's route stays");
  assertEquals(await setting("net.ipv6.conf.eth1.accept_ra"), "1");
  assertEquals(await exit.program.stop(), 0);
  assertEquals(await lab.stateOf(lab.exit), before);
});

testWith(needs, "of two exits on a machine the first to end leaves the other what goes with forwarding", async () => {
  await using lab = await PacketLab.open();
  await lab.exit.run(["sysctl", "-qw", "net.ipv4.conf.all.accept_redirects=0", "net.ipv6.conf.eth0.accept_ra=1"]);
  await lab.exit.run(["ip", "-6", "route", "add", "default", "via", INTERNET6, "proto", "ra"]);
  const before = await lab.stateOf(lab.exit);
  const first = await lab.startExit();
  const other = { interface: `${lab.interfaceName}2`, pool: "10.202.0.0/16", pool6: "fd00:2::/64" };
  const second = await lab.startExit(other);
  assertEquals(await first.program.stop(), 0);
  const names = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv6.conf.eth0.accept_ra"];
  assertEquals((await lab.exit.run(["sysctl", "-n", ...names])).stdout, "1\n1\n2\n");
  assertEquals(await second.program.stop(), 0);
  assertEquals(await lab.stateOf(lab.exit), before);
});
