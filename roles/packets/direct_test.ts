/**
 * Direct connections between two devices in namespaces, each behind a router, by our relay. What a whole network makes of it
 * is tested in `tests/netns/`.
 */

import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { testWith } from "../../testing/requirements.ts";
import { eventually } from "../../testing/waiting.ts";
import type { DatagramFlow } from "../../tests/netns/fixtures/datagram_flow.ts";
import { flow, INNER, PUBLIC, PunchScene, RELAY, RELAY_PORT, type Router } from "./fixtures/punch_scene.ts";

const needs = { netns: true, tools: ["ip", "nft", "sysctl", "ping"], files: ["/dev/net/tun"] };
const RELAY_AT = `${RELAY}:${RELAY_PORT}`;
const EXIT_AT = `${PUBLIC.exit}:51002`;
const CLIENT_AT = `${PUBLIC.client}:51001`;

/** Both devices send there. */
async function isBetween(scene: PunchScene, client: string, exit: string): Promise<void> {
  await eventually(`the client's device at ${client}`, async () => await scene.endpointOf("client") === client);
  await eventually(`the exit's device at ${exit}`, async () => await scene.endpointOf("exit") === exit);
}

async function pings(scene: PunchScene): Promise<boolean> {
  return (await scene.hosts.client.run(["ping", "-c1", "-W2", INNER.exit], { mayFail: true })).code === 0;
}

for (
  const { client, exit } of [
    { client: "none", exit: "none" },
    { client: "full-cone", exit: "symmetric" },
    { client: "symmetric", exit: "restricted" },
    { client: "port-restricted", exit: "port-restricted" },
  ] as { client: Router; exit: Router }[]
) {
  testWith(needs, `a client behind ${client} and an exit behind ${exit} become direct`, async () => {
    await using scene = await PunchScene.open({ client, exit });
    await scene.upgrade();
    const { way, at } = await scene.nextWay();
    assertEquals([way, at?.split(":")[0]], ["direct", PUBLIC.exit]);
    assert(await pings(scene));
    await eventually("the exit has followed", async () => await scene.endpointOf("exit") !== RELAY_AT);
    const before = await scene.relayed();
    assert(await pings(scene));
    assertEquals(await scene.relayed(), before);
  });
}

testWith(needs, "a client behind symmetric and an exit behind symmetric stay on the relay", async () => {
  await using scene = await PunchScene.open({ client: "symmetric", exit: "symmetric" });
  assert(await pings(scene));
  await scene.upgrade();
  assertEquals(await scene.nextWay(), { way: "none" });
  await isBetween(scene, RELAY_AT, RELAY_AT);
  assert(await pings(scene));
});

for (const relayDelayMs of [undefined, 25]) {
  const kind = relayDelayMs === undefined ? "our relay" : "a slow relay";
  testWith(needs, `the upgrade from ${kind} loses nothing of flows both ways`, async () => {
    await using scene = await PunchScene.open({
      client: "port-restricted",
      exit: "port-restricted",
      ...relayDelayMs !== undefined && { relayDelayMs },
    });
    const mbitPerS = relayDelayMs === undefined ? 50 : 10;
    assert(await pings(scene));
    await using up = await flow(scene, "client", mbitPerS);
    await using down = await flow(scene, "exit", mbitPerS);
    await scene.upgrade();
    assertEquals((await scene.nextWay()).way, "direct");
    await isBetween(scene, EXIT_AT, CLIENT_AT);
    // Also what was under way has had its time.
    for (const one of [up, down]) await eventually("a second of it", async () => await received(one) > 1_000);
    for (const one of [up, down]) assertEquals((await one.stop()).lost, 0);
  });
}

async function received(flow: DatagramFlow): Promise<number> {
  return Object.values(await flow.sources()).reduce((sum, count) => sum + count, 0);
}

/** Lets none of the datagrams between the two pass that the rule is about. */
async function cut(scene: PunchScene, rule: string): Promise<void> {
  const table = `table inet cut { chain pass { type filter hook forward priority -10; ${rule} drop; }; }`;
  await scene.routers.client.run(["nft", table]);
}

testWith(needs, "a direct way that dies is left for the relay in a second", async () => {
  await using scene = await PunchScene.open({ client: "port-restricted", exit: "port-restricted" });
  assert(await pings(scene));
  await scene.upgrade();
  assertEquals((await scene.nextWay()).way, "direct");
  await isBetween(scene, EXIT_AT, CLIENT_AT);
  await using down = await flow(scene, "exit", 10);
  await cut(scene, `ip daddr ${PUBLIC.exit}`);
  const cutAtMs = performance.now();
  assertEquals(await scene.nextWay(), { way: "relay", at: RELAY_AT });
  // 0.8 s, and what a busy machine adds.
  assertLessOrEqual(performance.now() - cutAtMs, 2_500);
  await isBetween(scene, RELAY_AT, RELAY_AT);
  assert(await pings(scene));
  const { longestGapMs } = await down.stop();
  assertLessOrEqual(longestGapMs, 2_500);
  await scene.routers.client.run(["nft", "delete table inet cut"]);
  assertEquals((await scene.nextWay()).way, "direct");
});

testWith(needs, "going back to the relay loses nothing of what the direct way still carries", async () => {
  await using scene = await PunchScene.open({ client: "port-restricted", exit: "port-restricted" });
  assert(await pings(scene));
  await scene.upgrade();
  assertEquals((await scene.nextWay()).way, "direct");
  await isBetween(scene, EXIT_AT, CLIENT_AT);
  await using up = await flow(scene, "client", 20);
  await using down = await flow(scene, "exit", 20);
  // Only what begins as a probe.
  await cut(scene, "@th,64,8 0xc3");
  assertEquals(await scene.nextWay(), { way: "relay", at: RELAY_AT });
  await isBetween(scene, RELAY_AT, RELAY_AT);
  for (const one of [up, down]) assertEquals((await one.stop()).lost, 0);
});

testWith(needs, "an exit that says where it is reached is asked there, whatever its NAT", async () => {
  await using scene = await PunchScene.open({ client: "symmetric", exit: "port-restricted", endpoint: EXIT_AT });
  const forward = `table ip open { chain enter { type nat hook prerouting priority -110; ` +
    `iifname eth1 udp dport 51002 dnat to 192.168.2.2; }; }`;
  await scene.routers.exit.run(["nft", forward]);
  assert(await pings(scene));
  await scene.upgrade();
  assertEquals(await scene.nextWay(), { way: "direct", at: EXIT_AT });
  assert(await pings(scene));
});

testWith(needs, "two behind one NAT find each other inside it", async () => {
  await using scene = await PunchScene.open({ client: "symmetric", exit: "same" });
  assert(await pings(scene));
  await scene.upgrade();
  assertEquals(await scene.nextWay(), { way: "direct", at: "192.168.1.3:51002" });
  await isBetween(scene, "192.168.1.3:51002", "192.168.1.2:51001");
  assert(await pings(scene));
});

testWith(
  needs,
  "where no IPv4 way can be opened, IPv6 is one, though its firewalls let nothing in unasked",
  async () => {
    await using scene = await PunchScene.open({ client: "symmetric", exit: "symmetric", hasV6: true });
    assert(await pings(scene));
    await using up = await flow(scene, "client", 20);
    await scene.upgrade();
    assertEquals(await scene.nextWay(), { way: "direct", at: "[2001:db8:2::2]:51002" });
    await isBetween(scene, "[2001:db8:2::2]:51002", "[2001:db8:1::2]:51001");
    await eventually("a second of it", async () => await received(up) > 2_000);
    assertEquals((await up.stop()).lost, 0);
  },
);

testWith(
  { ...needs, tools: [...needs.tools, "wireguard-go"] },
  "devices of others become direct as well, and lose nothing",
  async () => {
    await using scene = await PunchScene.open({ client: "port-restricted", exit: "restricted", backend: "external" });
    assert(await pings(scene));
    await using up = await flow(scene, "client", 5);
    await using down = await flow(scene, "exit", 5);
    await scene.upgrade();
    assertEquals((await scene.nextWay()).way, "direct");
    await isBetween(scene, EXIT_AT, CLIENT_AT);
    for (const one of [up, down]) await eventually("a second of it", async () => await received(one) > 500);
    for (const one of [up, down]) assertEquals((await one.stop()).lost, 0);
  },
);
