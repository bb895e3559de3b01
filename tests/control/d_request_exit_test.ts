/** Step D of the operational spec: a client asks for an exit; base names supernodes, they name exits, the best is picked. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { admin, hello, listedExit, Network, twoRegions } from "../fixtures/control_network.ts";
import { fastClock } from "./fixtures/fast_clock.ts";

Deno.test("D: an exit behind another supernode is found through base, asked for there, and reached by way of both", async () => {
  await using network = new Network();
  const { north, south } = await twoRegions(network);
  const { peerId } = await listedExit(network, south, "south");
  const { proxy } = await network.startClient(north, { region: "south" });
  const page = await hello(proxy);
  assertMatch(page, /^HTTP\/1\.[01] 200/);
  assertStringIncludes(page, peerId);
  for (const at of [north, south]) {
    const { sessions } = await admin(at, "GET", "/v1/sessions");
    assertEquals(sessions.map(({ state }: { state: string }) => state), ["active"]);
  }
});

Deno.test("D: an exit in another region than its supernode is found by that region", async () => {
  await using network = new Network();
  const { north, south } = await twoRegions(network);
  const { peerId } = await listedExit(network, south, "east");
  const { proxy } = await network.startClient(north, { region: "east" });
  assertStringIncludes(await hello(proxy), peerId);
});

Deno.test("D: a client whose supernode knows of no exit goes to another of its list after half a minute", async () => {
  await using network = new Network({ clock: fastClock(20) });
  const cutOff = await network.startSupernode("north");
  const other = await network.startSupernode("south");
  const { peerId } = await network.startExit(other, "south");
  const supernode = [cutOff, other].map(({ addresses }) => addresses["supernode"]);
  const { proxy } = await network.startClient(cutOff, { supernode, probeEvery: "10s", probeTimeout: "10s" });
  await network.until(() => network.hasSaid("There is no exit at this supernode: trying the next"));
  await network.until(() => network.hasSaid("Streams leave through an exit"));
  assertStringIncludes(await hello(proxy), peerId);
  assertEquals((await admin(other, "GET", "/v1/sessions")).total, 1);
});

Deno.test("D: when base is down, what it last said serves, and sessions go on", async () => {
  await using network = new Network();
  const { directory, north, south } = await twoRegions(network);
  await listedExit(network, south, "south");
  const first = await network.startClient(north, { region: "south" });
  await hello(first.proxy);
  await directory.role[Symbol.asyncDispose]();
  assertMatch(await hello(first.proxy), /^HTTP\/1\.[01] 200/);
  const second = await network.startClient(north, { region: "south" });
  assertMatch(await hello(second.proxy), /^HTTP\/1\.[01] 200/);
});

Deno.test("D: of the candidates that supernodes name, one that is good enough is picked, and the others are left out", async () => {
  await using network = new Network();
  const { settings, north, south } = await twoRegions(network);
  const alsoSouth = await network.startSupernode("south", settings);
  await listedExit(network, south, "south", { bandwidth: 10 });
  const good = await listedExit(network, alsoSouth, "south", { bandwidth: 500 });
  const { proxy } = await network.startClient(north, { region: "south", minBandwidth: 200 });
  assertStringIncludes(await hello(proxy), good.peerId);
  assertEquals((await admin(south, "GET", "/v1/sessions")).total, 0);
  const { sessions } = await admin(alsoSouth, "GET", "/v1/sessions");
  assertEquals(sessions.map(({ exitPeerId }: { exitPeerId: string }) => exitPeerId), [good.peerId]);
});
