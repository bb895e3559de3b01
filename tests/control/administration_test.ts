/** What administrators do to a network that runs: block, revoke, push, drain. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { admin, hello, idOf, listedExit, Network, twoRegions } from "../fixtures/control_network.ts";

Deno.test("a supernode that is blocked is not gone through any more, live", async () => {
  await using network = new Network();
  const { north, south } = await twoRegions(network);
  await listedExit(network, south, "south");
  const { proxy } = await network.startClient(north, {});
  assertMatch(await hello(proxy), /^HTTP\/1\.[01] 200/);
  const near = await network.startExit(north, "north");
  await admin(north, "POST", "/v1/blocks", { kind: "supernode", peerId: idOf(south), reason: "abuse" });
  await network.until(() => network.hasSaid("Streams leave through an exit", { exit: near.peerId }));
  assertStringIncludes(await hello(proxy), near.peerId);
});

Deno.test("an administrator revokes a peer: it is thrown out at once, and the audit log says so", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  const { peerId } = await network.startExit(here, "north");
  const { proxy } = await network.startClient(here);
  await hello(proxy);
  await admin(here, "POST", "/v1/blocks", { kind: "peer", peerId, reason: "abuse" });
  await network.until(() => network.hasSaid("There is no control stream", { reason: "revoked" }));
  const { streams } = await admin(here, "GET", "/v1/streams");
  assertEquals(streams.map(({ role }: { role: string }) => role), ["client"]);
  const { entries } = await admin(here, "GET", "/v1/audit");
  assertEquals(entries.map(({ action, subject }: { action: string; subject: string }) => [action, subject]), [
    ["revoke", peerId],
  ]);
});

Deno.test("an administrator pushes a command, and sees what became of it", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  const { peerId } = await network.startExit(here, "north");
  const command = { kind: "DISCONNECT", payload: { reason: "admin" }, timeoutMs: 5000 };
  const outcome = await admin(here, "POST", "/v1/commands", { peerId, command });
  assertEquals(outcome.ok, true);
});

Deno.test("without the administrators' token nothing is told", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  const response = await fetch(`http://${here.addresses["admin"]}/v1/peers`, {
    headers: { authorization: "Bearer x" },
  });
  assertEquals(response.status, 401);
  await response.body?.cancel();
});

Deno.test("a drained supernode lets nobody in, and its peers go to the other of its region", async () => {
  await using network = new Network();
  const { settings, north } = await twoRegions(network);
  const other = await network.startSupernode("north", settings);
  await listedExit(network, other, "north");
  await network.startExit(north, "north");
  const links = network.linkCount();
  await admin(north, "POST", "/v1/drain", { leaveWithinMs: 1000 });
  await network.until(() => network.linkCount() > links);
  assertEquals((await admin(other, "GET", "/v1/streams")).total, 2);
  assertEquals((await admin(north, "GET", "/v1/streams")).total, 0);
});
