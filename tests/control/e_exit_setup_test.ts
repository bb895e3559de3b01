/** Step E of the operational spec: how an exit is set up for a client, as far as streams go. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { admin, hello, listedExit, Network, twoRegions } from "../fixtures/control_network.ts";

Deno.test("E, case 1: an exit at the client's own supernode is set up, and the client's traffic leaves there", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  const { peerId } = await network.startExit(here, "north");
  const { proxy } = await network.startClient(here);
  const page = await hello(proxy);
  assertMatch(page, /^HTTP\/1\.[01] 200/);
  assertStringIncludes(page, peerId);
  const { streams } = await admin(here, "GET", "/v1/streams");
  assertEquals(streams.map(({ role }: { role: string }) => role).sort(), ["client", "exit"]);
  const { sessions } = await admin(here, "GET", "/v1/sessions");
  assertEquals(sessions.map(({ state }: { state: string }) => state), ["active"]);
  const metrics = await here.metrics();
  for (const line of ['command_success_total{kind="SETUP_EXIT"} 1', "relay_sessions_active 1"]) {
    assertStringIncludes(metrics, line);
  }
});

Deno.test("E, case 2: an exit that nobody can reach is set up over its own stream, by the supernode it is connected to", async () => {
  await using network = new Network();
  const { north, south } = await twoRegions(network);
  const out = await listedExit(network, south, "south");
  assertEquals(out.addresses, {}, "it has no port of its own");
  const { proxy } = await network.startClient(north, { region: "south" });
  assertStringIncludes(await hello(proxy), out.peerId);
  const applied = network.said("A command was applied", { kind: "SETUP_EXIT" });
  const { sessions } = await admin(south, "GET", "/v1/sessions");
  assertEquals(applied.map((fields) => fields["session_id"]), [sessions[0].sessionId]);
  assertStringIncludes(await south.metrics(), 'command_success_total{kind="SETUP_EXIT"} 1');
  assert(!(await north.metrics()).includes('command_success_total{kind="SETUP_EXIT"}'));
  assertStringIncludes(await out.metrics(), 'peer_commands_total{kind="SETUP_EXIT",status="applied"} 1');
});

Deno.test("E: an exit that can take no more clients is passed over for the next", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  const full = [await network.startExit(here, "north", undefined, { maxSessions: 1 })];
  full.push(await network.startExit(here, "north", undefined, { maxSessions: 1 }));
  const pages = [];
  for (let count = 0; count < 2; count++) pages.push(await hello((await network.startClient(here)).proxy));
  for (const { peerId } of full) assertEquals(pages.filter((page) => page.includes(peerId)).length, 1);
});
