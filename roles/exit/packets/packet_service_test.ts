/** Packets through an exit, in namespaces: what passes, what does not, and that nothing is left. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { inNamespace } from "../../../native/fixtures/in_namespace.ts";
import type { NetNamespace } from "../../../testing/netns.ts";
import { testWith } from "../../../testing/requirements.ts";
import { culvertUserspace, wireguardGo, type WireGuardMaker } from "../../../testing/wireguard_rig.ts";
import { EXIT_OUTSIDE, EXIT_OUTSIDE6, GATEWAY, INTERNET, INTERNET6, OFFICE, PacketLab } from "./fixtures/packet_lab.ts";

const needs = {
  netns: true,
  tools: ["ip", "nft", "wg", "wireguard-go", "curl", "ping", "sysctl"],
  files: ["/dev/net/tun"],
};

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

testWith(needs, "killed, the exit leaves its packet filter, and the next one takes all of it away", async () => {
  await using lab = await PacketLab.open();
  const before = await lab.stateOf(lab.exit);
  const first = await lab.startExit();
  first.program.crash();
  await first.program.ended();
  assertStringIncludes(await lab.stateOf(lab.exit), "table inet culvert_exit_");
  const client = await lab.client();
  const unused = await lab.stateOf(lab.exit);
  assert(unused !== before);
  const next = await lab.startExit();
  await next.admit(client);
  assert(await client.pings(INTERNET));
  assertEquals(await next.program.stop(), 0);
  await lab.exit.run(["ip", "link", "delete", "eth2"]);
  assertEquals(await lab.stateOf(lab.exit), before);
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
