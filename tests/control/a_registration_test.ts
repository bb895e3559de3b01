/** Step A of the operational spec: bootstrap and registration. To come to a supernode and to be registered is one thing. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { admin, idOf, Network, twoRegions } from "../fixtures/control_network.ts";

interface PeerRow {
  readonly peerId: string;
  readonly state: string;
  readonly role: string;
  readonly region: string;
}

async function peersAt(at: Parameters<typeof admin>[0]): Promise<PeerRow[]> {
  const { peers } = await admin(at, "GET", "/v1/peers");
  return peers.map(({ peerId, state, role, region }: PeerRow) => ({ peerId, state, role, region }));
}

Deno.test("A: a client and an exit that boot are known to their supernode, by id, role and region", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  const exit = await network.startExit(here, "north");
  const client = await network.startClient(here, { home: "north" });
  await network.until(() => network.hasSaid("A peer has come", { role: "client" }));
  const peers = await peersAt(here);
  assertEquals(peers.map(({ state, role, region }) => [role, state, region]).sort(), [
    ["client", "connected", "north"],
    ["exit", "connected", "north"],
  ]);
  assertEquals(peers.find(({ role }) => role === "exit")?.peerId, exit.peerId);
  await client.role.stop();
});

Deno.test("A: an exit that boots again is the one it was", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  const first = await network.startExit(here, "north");
  await first.role.stop();
  const again = await network.startExit(here, "north", first.stateDir);
  assertEquals(again.peerId, first.peerId);
  assertEquals((await peersAt(here)).map(({ peerId }) => peerId), [first.peerId]);
});

Deno.test("A: supernodes that boot register with base, each with its region and where it is found", async () => {
  await using network = new Network();
  const { directory, north, south } = await twoRegions(network);
  await network.until(() => network.hasSaid("Base was told", { region: "north" }));
  for (const [region, at] of [["north", north], ["south", south]] as const) {
    const [told] = network.said("A supernode has registered", { region });
    assertEquals(told?.["peer_id"], idOf(at));
    assertEquals(network.hasSaid("Base was told", { region, url: `http://${at.addresses["listen"]}` }), true);
  }
  const registered = 'directory_requests_total{operation="registerSupernode",result="ok"} 2';
  assertStringIncludes(await directory.metrics(), registered);
});
