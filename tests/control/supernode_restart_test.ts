/** A supernode that restarts: its sessions go on, or elsewhere. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { admin, hello, helloAtLast, Network } from "../fixtures/control_network.ts";

Deno.test("a session outlives its supernode's restart", async () => {
  await using network = new Network();
  const before = await network.startSupernode("north");
  await network.startExit(before, "north");
  const { proxy } = await network.startClient(before, { probeTimeout: "3s" });
  await hello(proxy);
  const known = (await admin(before, "GET", "/v1/sessions")).sessions[0].sessionId;
  await before.role[Symbol.asyncDispose]();
  const links = network.linkCount();
  const { listen } = before.addresses;
  const after = await network.startSupernode("north", { listen }, before.stateDir);
  assertEquals(after.addresses["supernode"], before.addresses["supernode"]);
  await network.until(() => network.linkCount() === links + 2);
  // The client may notice its link a little later than its supernode does.
  await helloAtLast(proxy);
  const { sessions } = await admin(after, "GET", "/v1/sessions");
  assertEquals(sessions.map(({ sessionId }: { sessionId: string }) => sessionId), [known]);
});

Deno.test("a session whose exit does not come back after its supernode's restart goes to another", async () => {
  await using network = new Network();
  const before = await network.startSupernode("north");
  const lost = await network.startExit(before, "north");
  const { proxy } = await network.startClient(before);
  await hello(proxy);
  await before.role[Symbol.asyncDispose]();
  await lost.role[Symbol.asyncDispose]();
  const { listen } = before.addresses;
  const after = await network.startSupernode("north", { listen }, before.stateDir);
  const other = await network.startExit(after, "north");
  await network.until(() => network.hasSaid("Streams leave through an exit", { exit: other.peerId }));
  assertStringIncludes(await hello(proxy), other.peerId);
});
