/** Which way packets take, in namespaces: a client, a router, a server behind it. */

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import { formatIp } from "../protocol/ip.ts";
import { NetLab, type NetNamespace } from "../testing/netns.ts";
import { testWith } from "../testing/requirements.ts";
import { eventually } from "../testing/waiting.ts";
import { inNamespace } from "./fixtures/in_namespace.ts";
import { openLibc } from "./libc.ts";
import { type RouteTo, routeTo, type RouteToOptions } from "./route_to.ts";

const needs = { netns: true, tools: ["ip", "sysctl"] };
const clock = clockOf(globalThis);

interface Scene {
  readonly client: NetNamespace;
  readonly router: NetNamespace;
  find(address: string, options?: Partial<RouteToOptions>): Promise<RouteTo>;
}

function testOnPath(name: string, run: (scene: Scene) => Promise<void>): void {
  testWith(needs, name, async () => {
    await using lab = await NetLab.open();
    const [client, router] = [await lab.namespace("client"), await lab.namespace("router")];
    await lab.connect(client, "10.77.0.2/24", router, "10.77.0.1/24");
    for (const [namespace, host] of [[client, 2], [router, 1]] as const) {
      await namespace.run(["ip", "address", "add", `fd77::${host}/64`, "dev", "eth0", "nodad"]);
    }
    await client.run(["ip", "route", "add", "default", "via", "10.77.0.1"]);
    await client.run(["ip", "-6", "route", "add", "default", "via", "fd77::1"]);
    using libc = openLibc();
    const find = (address: string, options: Partial<RouteToOptions> = {}) =>
      inNamespace(client, () => routeTo(libc, address, { clock, ...options }));
    await run({ client, router, find });
  });
}

async function macIn(namespace: NetNamespace): Promise<string> {
  const shown = (await namespace.run(["cat", "/sys/class/net/eth0/address"])).stdout;
  return shown.trim().replaceAll(":", "");
}

testOnPath("the way over a gateway has its hardware address, which is asked for", async ({ client, router, find }) => {
  const [own, gateway] = [await macIn(client), await macIn(router)];
  for (
    const [address, source, via] of [
      ["203.0.113.5", "10.77.0.2", "10.77.0.1"],
      ["2001:db8::5", "fd77::2", "fd77::1"],
    ] as const
  ) {
    const route = await find(address);
    assertEquals([route.interfaceName, route.hardware, route.mtuBytes], ["eth0", "ethernet", 1500]);
    assertEquals([formatIp(route.source), formatIp(route.gateway!)], [source, via]);
    assertEquals([route.mac?.toHex(), route.ownMac?.toHex()], [gateway, own]);
  }
});

testOnPath("a hardware address that no longer holds is found out by asking again", async ({ client, router, find }) => {
  const settings = ["delay_first_probe_time=0", "ucast_solicit=1", "retrans_time_ms=50"];
  await client.run(["sysctl", "-qw", ...settings.map((each) => `net.ipv4.neigh.eth0.${each}`)]);
  const stale = ["lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "stale"];
  await client.run(["ip", "neighbour", "replace", "10.77.0.1", ...stale]);
  const gateway = await macIn(router);
  assertEquals((await find("203.0.113.5")).mac?.toHex(), "020000000099");
  await eventually(
    "the gateway's new address is known",
    async () => (await find("203.0.113.5")).mac?.toHex() === gateway,
  );
});

testOnPath("what is on our own network is reached without a gateway", async ({ client, router, find }) => {
  const route = await find("10.77.0.1");
  assertEquals([route.gateway, route.mac?.toHex()], [undefined, await macIn(router)]);
  await client.run(["ip", "route", "add", "198.51.100.0/24", "via", "10.77.0.1", "mtu", "1400"]);
  assertEquals((await find("198.51.100.1")).mtuBytes, 1400);
});

testOnPath("this machine's own addresses are reached by loopback", async ({ find }) => {
  for (const address of ["127.0.0.1", "::1", "10.77.0.2", "fd77::2"]) {
    const { interfaceName, hardware, mac, source } = await find(address);
    assertEquals([interfaceName, hardware, mac?.toHex()], ["lo", "loopback", "000000000000"], address);
    assertEquals(formatIp(source), address);
  }
});

testOnPath("a tunnel has no hardware addresses", async ({ client, find }) => {
  await client.run(["ip", "tuntap", "add", "tun5", "mode", "tun"]);
  await client.run(["ip", "link", "set", "tun5", "up", "mtu", "1380"]);
  await client.run(["ip", "address", "add", "10.99.0.1/24", "dev", "tun5"]);
  const { hardware, mac, ownMac, mtuBytes } = await find("10.99.0.9");
  assertEquals([hardware, mac, ownMac, mtuBytes], ["other", undefined, undefined, 1380]);
});

testOnPath("where there is no way, it is said why", async ({ client, find }) => {
  const fails = async (address: string, code: string, words: string) => {
    const error = await assertRejects(() => find(address, { patienceMs: 200 }), CulvertError, words);
    assertEquals(error.code, code);
    assertStringIncludes(error.message, address);
  };
  await fails("10.77.0.99", "no_neighbour", "nobody on the network of eth0 answers for it");
  assertEquals((await find("10.77.0.99", { needsMac: false })).mac, undefined);
  await fails("224.0.0.1", "no_route", "must be the address of one host");
  await fails("example.com", "bad_address", "must be an IP address");
  await client.run(["ip", "route", "add", "unreachable", "198.51.100.0/24"]);
  await fails("198.51.100.1", "no_route", "no route leads there");
  await client.run(["ip", "route", "del", "default"]);
  await client.run(["ip", "-6", "route", "del", "default"]);
  await fails("203.0.113.5", "no_route", "there is no default route for IPv4");
  await fails("2001:db8::5", "no_route", "there is no default route for IPv6");
});
