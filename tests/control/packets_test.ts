/**
 * Steps E and F of the operational spec for sessions that carry packets, as far as supernodes go: which ports are opened for
 * them, what exits and clients are told of those, and that they are closed. Exits and clients are played, the relays are
 * real; that WireGuard passes is tried in `tests/netns/`.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { peerKeysOf } from "../../protocol/control/peer_keys.ts";
import { eventually } from "../../testing/waiting.ts";
import { admin, idOf, Network, type Started, twoRegions } from "../fixtures/control_network.ts";
import { askForPackets, GRANT, reflectionAt, startPacketClient, startPacketExit } from "./fixtures/packet_peers.ts";

const PORT = /^127\.0\.0\.1:4\d{4}$/;

async function portsOpen(at: Started): Promise<number> {
  return Number(/^relay_ports_open (\d+)$/m.exec(await at.metrics())?.[1]);
}

// deno-lint-ignore no-explicit-any -- as `admin`
async function sessionsAt(at: Started): Promise<any[]> {
  return (await admin(at, "GET", "/v1/sessions")).sessions;
}

Deno.test("E: an exit at the client's own supernode is set up for packets, by a port that lives as long as the session", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north", { relay: true });
  await using exit = await startPacketExit(here, "north");
  await using client = await startPacketClient(here, "north");
  const { sessionId, packets } = await askForPackets(client, { addresses: ["10.201.4.4/32"] });
  assert(packets);
  assertMatch(packets.endpoint, PORT);
  assertEquals(packets, { ...GRANT, addresses: ["10.201.4.4/32"], endpoint: packets.endpoint });
  const { seen, sent } = await reflectionAt(packets.endpoint);
  assertEquals(seen, sent, "the port is open");
  const [setup] = exit.heard;
  assert(setup?.kind === "SETUP_EXIT");
  assertEquals(setup.payload.packets, { relay: packets.endpoint });
  const [session] = await sessionsAt(here);
  const relayPort = Number(packets.endpoint.split(":")[1]);
  assertEquals([session.carries, session.relay, session.relayPort], ["packets", "blind", relayPort]);
  assertEquals(await portsOpen(here), 1);
  assertStringIncludes(await here.metrics(), "relay_sessions_active 1");
  await client.ask({ what: "end_session", sessionId });
  await eventually("no port", async () => await portsOpen(here) === 0);
  await eventually("the exit to let go", () => exit.sessions.size === 0);
});

Deno.test("F: an exit behind another supernode is reached by a port of each, and nothing is left of them", async () => {
  await using network = new Network();
  const { north, south } = await twoRegions(network, { relay: true });
  await using exit = await startPacketExit(south, "south");
  const url = `http://${south.addresses["listen"]}`;
  await network.until(() => network.hasSaid("Base was told", { url, exits: 1 }));
  await using client = await startPacketClient(north, "north");
  const { sessionId, packets } = await askForPackets(client, { region: "south" });
  const [setup] = exit.heard;
  assert(packets && setup?.kind === "SETUP_EXIT");
  const relay = setup.payload.packets!.relay;
  assertMatch(relay, PORT);
  assert(relay !== packets.endpoint, "each has a port of its own");
  const [[at], [behind]] = await Promise.all([sessionsAt(north), sessionsAt(south)]);
  assertEquals([at.farRelay, behind.farRelay], [relay, packets.endpoint]);
  assertEquals([at.exitSupernodeId, behind.clientSupernodeId], [idOf(south), idOf(north)]);
  for (const endpoint of [packets.endpoint, relay]) assert(await reflectionAt(endpoint));
  await client.ask({ what: "end_session", sessionId });
  for (const supernode of [north, south]) {
    await eventually("no port", async () => await portsOpen(supernode) === 0);
    assertEquals(await sessionsAt(supernode), []);
  }
});

Deno.test("F: a supernode that is started again has the same ports", async () => {
  await using network = new Network();
  const settings = { relay: true, relayHost: "127.0.0.1" };
  const before = await network.startSupernode("north", settings);
  const exit = await startPacketExit(before, "north");
  const client = await startPacketClient(before, "north");
  const { sessionId, packets } = await askForPackets(client);
  await client[Symbol.asyncDispose]();
  await exit[Symbol.asyncDispose]();
  await before.role.stop();
  const after = await network.startSupernode("north", settings, before.stateDir);
  const [session] = await sessionsAt(after);
  assertEquals([session.sessionId, `127.0.0.1:${session.relayPort}`], [sessionId, packets!.endpoint]);
  assert(await reflectionAt(packets!.endpoint));
});

Deno.test("a client that wishes for packets where none are carried is told so, and one for streams is served", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north", { relay: false });
  await using exit = await startPacketExit(here, "north");
  await using client = await startPacketClient(here, "north");
  const refused = await client.ask({ what: "exit", wish: { carries: "packets" } });
  assert(refused.what === "failed");
  assertEquals([refused.reason, refused.remark], ["unavailable", "This supernode does not relay packets"]);
  const granted = await client.ask({ what: "exit", wish: {} });
  assertEquals(granted.what, "exit");
  assertEquals(exit.sessions.size, 1);
});

Deno.test("an administrator has a session granted for a client that never connects", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north", { relay: true });
  await using exit = await startPacketExit(here, "north");
  await using stranger = await startPacketClient(here, "north");
  await askForPackets(stranger); // by now it is known that the exit carries packets
  const keys = peerKeysOf(stranger.identity);
  const { offer } = await admin(here, "POST", "/v1/static-sessions", { keys, days: 366, exitPeerId: exit.peerId });
  assertMatch(offer.packets.endpoint, PORT);
  assertEquals(offer.exit.peerId, exit.peerId);
  const listed = (await sessionsAt(here)).find((session) => session.sessionId === offer.sessionId);
  assertEquals(listed.isStatic, true);
  await admin(here, "DELETE", `/v1/sessions/${offer.sessionId}`);
  await eventually("one port", async () => await portsOpen(here) === 1);
  const { entries } = await admin(here, "GET", "/v1/audit");
  // deno-lint-ignore no-explicit-any -- as `admin`
  assertEquals(entries.map(({ action }: any) => action), ["end_session", "grant_session"]);
});
