/** Step G of the operational spec: rotation and failover. */

import { assert, assertStringIncludes } from "@std/assert";
import { hello, listedExit, Network, twoRegions } from "../fixtures/control_network.ts";

Deno.test("G: when an exit is cut off, the next stream works through another", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  const first = await network.startExit(here, "north");
  const { proxy } = await network.startClient(here);
  assertStringIncludes(await hello(proxy), first.peerId);
  const second = await network.startExit(here, "north");
  const startMs = performance.now();
  await first.role[Symbol.asyncDispose]();
  assertStringIncludes(await hello(proxy), second.peerId);
  assert(performance.now() - startMs < 2000);
});

Deno.test("G: when an exit behind another supernode is cut off, the next stream works through another", async () => {
  await using network = new Network();
  const { north, south } = await twoRegions(network);
  const first = await listedExit(network, south, "south");
  const { proxy } = await network.startClient(north, { region: "south" });
  assertStringIncludes(await hello(proxy), first.peerId);
  const second = await network.startExit(south, "south");
  await first.role[Symbol.asyncDispose]();
  assertStringIncludes(await hello(proxy), second.peerId);
});
