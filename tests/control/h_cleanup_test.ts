/** Step H of the operational spec: shutdown and cleanup. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { admin, hello, listedExit, Network, twoRegions } from "../fixtures/control_network.ts";

Deno.test("H: when a client leaves, its session ends at both supernodes, and the exit lets go of it", async () => {
  await using network = new Network();
  const { north, south } = await twoRegions(network);
  const out = await listedExit(network, south, "south");
  const { role, proxy } = await network.startClient(north, { region: "south" });
  await hello(proxy);
  assertStringIncludes(await out.metrics(), "exit_sessions_active 1");
  await role.stop();
  await network.until(() => network.count("A session has ended") === 2);
  await network.until(() => network.hasSaid("A command was applied", { kind: "DISCONNECT" }));
  assertStringIncludes(await out.metrics(), "exit_sessions_active 0");
  for (const at of [north, south]) {
    assertEquals((await admin(at, "GET", "/v1/sessions")).total, 0);
  }
});
