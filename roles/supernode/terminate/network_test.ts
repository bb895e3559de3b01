/** The terminating relay in namespaces: what a client of any make gets through it, and what never leaves it. */

import { assert, assertEquals, assertGreaterOrEqual, assertNotEquals } from "@std/assert";
import { inNamespace } from "../../../native/fixtures/in_namespace.ts";
import { encodeGateway, GATEWAY_PORT, parseGateway } from "../../../protocol/packets/gateway.ts";
import type { NetNamespace } from "../../../testing/netns.ts";
import { testWith } from "../../../testing/requirements.ts";
import { INTERNET, INTERNET6, Scene } from "./fixtures/scene.ts";

const NEEDS = {
  netns: true,
  tools: ["ip", "nft", "wg", "wireguard-go", "ping", "curl", "tcpdump", "sysctl"],
  files: ["/dev/net/tun"],
};

/** Answers HTTP with the address it was asked from. */
function whoAmI(namespace: NetNamespace, hostname: string): Deno.HttpServer<Deno.NetAddr> {
  const handler = (_: Request, { remoteAddr }: { remoteAddr: Deno.Addr }) =>
    new Response((remoteAddr as Deno.NetAddr).hostname);
  return inNamespace(namespace, () => Deno.serve({ hostname, port: 0, onListen() {}, handler }));
}

async function curl(
  from: NetNamespace,
  { addr: { hostname, port } }: Deno.HttpServer<Deno.NetAddr>,
  withinS = 5,
): Promise<string> {
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  const command = ["curl", "-sS", "--max-time", `${withinS}`, `http://${host}:${port}/`];
  return (await from.run(command, { mayFail: true })).stdout;
}

function datagrams(namespace: NetNamespace, hostname: string, port: number): Deno.DatagramConn & Disposable {
  const socket = inNamespace(namespace, () => Deno.listenDatagram({ transport: "udp", hostname, port }));
  return Object.assign(socket, { [Symbol.dispose]: () => socket.close() });
}

/** What the gateway says to a client. */
async function probe(client: NetNamespace, gateway: string, own: string): Promise<boolean> {
  using socket = datagrams(client, own, 0);
  const id = "A".repeat(22);
  const to = { transport: "udp", hostname: gateway, port: GATEWAY_PORT } as const;
  await socket.send(encodeGateway({ type: "probe", id }), to);
  const [answer] = await socket.receive();
  const message = parseGateway(answer);
  return message?.type === "probe.answer" && message.ok;
}

async function cannotPing(client: NetNamespace, address: string): Promise<void> {
  const { code } = await client.run(["ping", "-c2", "-i0.2", "-W0.5", address], { mayFail: true });
  assertNotEquals(code, 0);
}

/** What passes any interface of a machine, save its tunnels and their inside. */
async function capture(
  namespace: NetNamespace,
  filter: string,
): Promise<AsyncDisposable & { stop(): Promise<string[]> }> {
  const underlay = ["eth1", "eth2", "eth3"];
  const children = underlay.map((name) =>
    namespace.spawn(["tcpdump", "-i", name, "-nnl", "--immediate-mode", filter], { stdout: "piped", stderr: "piped" })
  );
  const readers = children.map(({ stderr }) => stderr.pipeThrough(new TextDecoderStream()).getReader());
  for (const reader of readers) {
    let said = "";
    while (!said.includes("listening on")) said += (await reader.read()).value ?? "";
  }
  let stopped: Promise<string[]> | undefined;
  const stop = () =>
    stopped ??= (async () => {
      for (const child of children) child.kill("SIGTERM");
      const outputs = await Promise.all(children.map(({ stdout }) => new Response(stdout).text()));
      await Promise.all([...children.map(({ status }) => status), ...readers.map((reader) => reader.cancel())]);
      return outputs.flatMap((text) => text.split("\n")).filter((line) => line !== "");
    })();
  return { stop, [Symbol.asyncDispose]: async () => void await stop() };
}

testWith(NEEDS, "a stock client comes out at its exit, and is shut in with it", async (t) => {
  await using scene = await Scene.open();
  const { client, supernode, internet, exits: [exit] } = scene;
  await scene.start();
  const offer = await scene.setUp("one", exit);
  assertEquals([offer.gateways, offer.dns], [["10.200.0.1", "fd20:77::1"], ["10.200.0.1"]]);
  await scene.connect(offer);
  await client.run(["ping", "-c2", "-i0.2", "-W2", INTERNET]);

  await t.step("over IPv4 and IPv6", async () => {
    await using http = whoAmI(internet, INTERNET);
    assertEquals(await curl(client, http), exit.address);
    await using http6 = whoAmI(internet, INTERNET6);
    assertEquals(await curl(client, http6), exit.address6);
  });

  await t.step("names asked of the gateway are answered by the exit", async () => {
    using server = datagrams(exit.namespace, "10.201.0.1", 53);
    using asking = datagrams(client, offer.addresses[0]!.split("/")[0]!, 0);
    await asking.send(Uint8Array.of(1, 2, 3), { transport: "udp", hostname: "10.200.0.1", port: 53 });
    const [question, from] = await server.receive();
    assertEquals([question, (from as Deno.NetAddr).hostname], [Uint8Array.of(1, 2, 3), "10.201.0.2"]);
    await server.send(Uint8Array.of(4), from);
    const [answer, by] = await asking.receive();
    assertEquals([answer, (by as Deno.NetAddr).hostname], [Uint8Array.of(4), "10.200.0.1"]);
  });

  await t.step("probes of the gateway say that packets get out", async () => {
    for (const [gateway, own] of [["10.200.0.1", offer.addresses[0]!], ["fd20:77::1", offer.addresses[1]!]] as const) {
      assertEquals(await probe(client, gateway, own.split("/")[0]!), true);
    }
  });

  await t.step("the supernode's own services and networks are not there for it", async () => {
    for (const [namespace, address] of [[supernode, "10.200.0.1"], [supernode, "203.0.113.9"]] as const) {
      await using http = whoAmI(namespace, address);
      assertEquals(await curl(client, http, 1), "");
    }
    await client.run(["ping", "-c1", "-W2", "10.200.0.1"]);
  });

  await t.step("the exit opens nothing towards it or the supernode", async () => {
    await using http = whoAmI(client, offer.addresses[0]!.split("/")[0]!);
    await exit.namespace.run(["ip", "route", "add", "10.200.0.0/16", "dev", exit.interfaceName]);
    assertEquals(await curl(exit.namespace, http, 1), "");
    await using own = whoAmI(supernode, "10.201.0.2");
    assertEquals(await curl(exit.namespace, own, 1), "");
  });
});

testWith(
  NEEDS,
  "when the tunnel to the exit is dead nothing of a client leaves the supernode by another way",
  async () => {
    await using scene = await Scene.open();
    const { client, exits: [exit] } = scene;
    await scene.start();
    await scene.connect(await scene.setUp("one", exit));
    await client.run(["ping", "-c1", "-W2", INTERNET]);
    await using seen = await capture(scene.supernode, `host ${INTERNET} or host ${INTERNET6}`);
    const trouble = scene.tell({ trouble: true });
    const beganMs = performance.now();
    Deno.kill(exit.device.pid, "SIGKILL");
    assertEquals(await trouble, { exit: exit.peerId });
    const tookMs = performance.now() - beganMs;
    assert(tookMs < 2_500, `told of after ${tookMs} ms`);
    for (const address of [INTERNET, INTERNET6]) await cannotPing(client, address);
    assertEquals(await probe(client, "10.200.0.1", "10.200.0.2").catch(() => false), false);
    await scene.tell({ remove: "one" });
    for (const address of [INTERNET, INTERNET6]) await cannotPing(client, address);
    assertEquals(await seen.stop(), []);
  },
);

testWith(NEEDS, "an exit cannot use the supernode, not even before its tunnel is in use", async () => {
  await using scene = await Scene.open();
  await scene.start();
  const { exits: [exit], supernodeKeys } = scene;
  await scene.prepare("one", exit);
  const { namespace, interfaceName } = exit;
  await namespace.run(["wg", "set", interfaceName, "peer", supernodeKeys.public, "allowed-ips", "0.0.0.0/0"]);
  await namespace.run(["ip", "route", "add", `${INTERNET}/32`, "dev", interfaceName]);
  await using seen = await capture(scene.supernode, `host ${INTERNET}`);
  await cannotPing(namespace, INTERNET);
  assertEquals(await seen.stop(), []);
  const received = await scene.supernode.run(["cat", "/sys/class/net/wg-relay-0/statistics/rx_packets"]);
  assert(Number(received.stdout) > 0, "its packets have come that far");
});

testWith(NEEDS, "an exit is replaced beneath its clients, who keep their addresses", async () => {
  await using scene = await Scene.open();
  const { client, internet, exits: [first, second] } = scene;
  await scene.start();
  const offer = await scene.setUp("one", first);
  await scene.connect(offer);
  await using http = whoAmI(internet, INTERNET);
  assertEquals(await curl(client, http), first.address);
  Deno.kill(first.device.pid, "SIGKILL");
  await scene.tell({ trouble: true });
  assertEquals(await scene.setUp("two", second), offer);
  assertEquals(await curl(client, http), second.address);
  await scene.tell({ remove: "one" });
  assertEquals(await curl(client, http), second.address);
  const { stdout } = await scene.supernode.run(["ip", "-o", "link"]);
  assert(!stdout.includes("wg-relay-0") && stdout.includes("wg-relay-1"), "only the tunnel in use is there");
});

testWith(NEEDS, "a change of exits that both work costs a flow one packet at most", async () => {
  await using scene = await Scene.open();
  const { client, exits: [first, second] } = scene;
  await scene.start();
  await scene.connect(await scene.setUp("one", first));
  await client.run(["ping", "-c1", "-W2", INTERNET]);
  const flow = client.run(["ping", "-c60", "-i0.02", "-W1", INTERNET]);
  await scene.setUp("two", second);
  const { stdout } = await flow;
  await scene.tell({ remove: "one" });
  // The kernel drops the packet with which a masqueraded flow comes to another interface, and begins the flow anew.
  assertGreaterOrEqual([...stdout.matchAll(/icmp_seq=/g)].length, 59, stdout);
});

testWith(NEEDS, "our own client goes through it as a stock one does", async () => {
  await using scene = await Scene.open();
  const { client, internet, exits: [exit] } = scene;
  await scene.start();
  await scene.connectOurs(await scene.setUp("one", exit));
  await client.run(["ping", "-c2", "-i0.2", "-W2", INTERNET]);
  await using http = whoAmI(internet, INTERNET);
  assertEquals(await curl(client, http), exit.address);
});

for (const ending of ["stopped", "killed, and another has been there"] as const) {
  testWith(NEEDS, `everything is as it was when the relay is ${ending}`, async () => {
    await using scene = await Scene.open();
    const before = await scene.traces();
    await scene.start();
    await scene.setUp("one", scene.exits[0]);
    await scene.setUp("two", scene.exits[1], { clientKey: scene.exits[0].keys.public });
    assertNotEquals(await scene.traces(), before);
    if (ending === "stopped") await scene.stop();
    else {
      await scene.kill();
      await scene.start();
      await scene.stop();
    }
    const [was, is] = [before, await scene.traces()].map((text) => text.split("\n"));
    assertEquals(is!.filter((line) => !was!.includes(line)), []);
    assertEquals(was!.filter((line) => !is!.includes(line)), []);
  });
}
