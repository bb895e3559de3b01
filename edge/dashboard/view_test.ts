import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { FakeClock } from "../../testing/fake_clock.ts";
import { MAX_DRAWN, type NetworkView } from "./api.ts";
import { type FakeNetworkOptions, FakeSource } from "./fixtures/fake_source.ts";
import { anyInventory } from "./fixtures/hostile.ts";
import type { Inventory } from "./inventory.ts";
import { ELSEWHERE, MAX_REGIONS } from "./map_regions.ts";
import { viewSchema } from "./messages.ts";
import { peerRows } from "./rows.ts";
import { snapshotOf } from "./snapshot.ts";
import { viewOf } from "./view.ts";

const about = { title: "Test", kind: "supernode", version: "0.1.0", deeds: [] } as const;

function sourceOf(options: Omit<FakeNetworkOptions, "clock">): FakeSource {
  return new FakeSource({ clock: new FakeClock(), ...options });
}

/** The view, as it comes out of JSON. */
function seen(source: FakeSource): NetworkView {
  const inventory = source.inventory() as Inventory;
  const view = viewOf(snapshotOf(inventory, new FakeClock().wallNow()), about);
  return viewSchema.parse(JSON.parse(JSON.stringify(view)));
}

Deno.test("a small network is drawn whole, each session with its way", () => {
  const source = sourceOf({ supernodes: 2, exits: 2, clients: 3, relays: 1 });
  const view = seen(source);
  assertEquals(view.nodes.length, 8);
  assertEquals([view.groups, view.links.length, view.regions], [[], 1, ["eu-north", "eu-west"]]);
  assertEquals(view.totals, {
    regions: 2,
    supernodes: 2,
    exits: 2,
    clients: 3,
    relays: 1,
    sessions: 3,
    failing: 0,
    blocked: 0,
  });
  for (const { clientPeerId, clientSupernodeId, exitSupernodeId, exitPeerId, sessionId } of source.sessions.values()) {
    const places = [clientPeerId, clientSupernodeId, exitSupernodeId!, exitPeerId!];
    const route = view.routes.find((each) => each.sessionId === sessionId);
    assertEquals(route?.via, [...new Set(places)]);
  }
});

Deno.test("ten thousand peers are drawn as no more than fit, and everybody is counted", () => {
  const source = sourceOf({ supernodes: 12, exits: 500, clients: 9500 });
  const failing = source.of("client").slice(4000, 4003);
  for (const each of failing) each.isFailing = true;
  const view = seen(source);
  const peers = view.nodes.filter(({ kind }) => kind !== "supernode");
  assert(peers.length + view.groups.length <= MAX_DRAWN);
  const grouped = view.groups.reduce((sum, { count }) => sum + count, 0);
  assertEquals(peers.length + grouped, 10_003);
  // The largest crowds are drawn as one; the smallest, the relays, one by one.
  assertEquals(peers.filter(({ kind }) => kind === "relay").length, 3);
  assert(view.groups.some(({ role, count }) => role === "client" && count > 700));
  for (const { peerId } of failing) assertEquals(peers.find(({ id }) => id === peerId)?.state, "failing");
  // Whoever is drawn by itself beside its crowd is the end of a session.
  assert(peers.filter(({ kind }) => kind === "client").every(({ sessions }) => sessions > 0));
  const carried = view.routes.reduce((sum, { sessions }) => sum + sessions, 0);
  assert(view.routes.length <= MAX_DRAWN && carried > 5000, `${carried} sessions are on their ways`);
  assert(JSON.stringify(view).length < 150_000);
});

Deno.test("what is drawn stays what it is while nothing but loads changes", () => {
  const source = sourceOf({ supernodes: 5, exits: 300, clients: 2000 });
  const ids = ({ nodes, groups, routes }: NetworkView) => [
    nodes.map(({ id }) => id),
    groups.map(({ id }) => id),
    routes.map(({ via }) => via.join()),
  ];
  assertEquals(ids(seen(source)), ids(seen(source)));
});

Deno.test("a part that was killed is drawn where it was, so that it can be started again", async () => {
  const source = sourceOf({ hasParts: true });
  await source.act({ kind: "kill_part", name: "exit-2" });
  const view = seen(source);
  const gone = view.nodes.filter(({ state }) => state === "gone");
  assertEquals(gone.map(({ kind, label, part }) => [kind, label, part]), [["exit", "exit-2", "exit-2"]]);
  assertEquals(view.parts.filter(({ isRunning }) => !isRunning).map(({ name }) => name), ["exit-2"]);
});

Deno.test("a killed part that a directory still lists is gone, on the map and in the table", () => {
  const source = sourceOf({ hasParts: true });
  const [relay, other] = source.of("relay");
  // A machine with two roles.
  source.parts.splice(source.parts.findIndex(({ peerId }) => peerId === other!.peerId), 1);
  const peerIds = [relay!.peerId, other!.peerId];
  Object.assign(source.parts.find(({ peerId }) => peerId === relay!.peerId)!, { isRunning: false, peerIds });
  const view = seen(source);
  assertEquals(view.nodes.filter(({ state }) => state === "gone").map(({ id }) => id), peerIds);
  assertEquals(view.nodes.filter(({ state }) => state !== "good").length, 2);
  const snapshot = snapshotOf(source.inventory() as Inventory, new FakeClock().wallNow());
  const { rows } = peerRows(snapshot, { search: "gone" });
  assertEquals(new Set(rows.map(({ peerId }) => peerId)), new Set(peerIds));
});

Deno.test("who is shut out is told, here or not, named ones first, and no more than fit", async () => {
  const source = sourceOf({ hasParts: true });
  const [exit] = source.of("exit");
  const [supernode] = source.supernodes;
  await source.act({ kind: "revoke", peerId: exit!.peerId });
  await source.act({ kind: "block", supernodeId: supernode!.supernodeId });
  const stranger = source.newPeerId();
  source.blocked.add(stranger);
  const { blocked } = seen(source);
  assertEquals(
    new Set(blocked.slice(0, 2)),
    new Set([
      { id: exit!.peerId, label: "exit-1", isSupernode: false },
      { id: supernode!.supernodeId, label: "supernode-1", isSupernode: true },
    ]),
  );
  assertEquals(blocked[2], { id: stranger, label: stranger.slice(0, 8), isSupernode: false });
  for (let more = 0; more < 2 * MAX_DRAWN; more++) source.blocked.add(source.newPeerId());
  const view = seen(source);
  assertEquals([view.blocked.length, view.totals.blocked], [MAX_DRAWN, 2 * MAX_DRAWN + 3]);
});

Deno.test("a session that moves is on a way that moves", () => {
  const source = sourceOf({});
  const [session] = source.sessions.values();
  session!.state = "rotating";
  assertEquals(seen(source).routes.filter(({ isMoving }) => isMoving).map(({ via }) => via[0]), [
    session!.clientPeerId,
  ]);
});

Deno.test("of supernodes whose peers nobody lists, what they say is counted", () => {
  const source = sourceOf({ kind: "base", supernodes: 2, exits: 0, clients: 0, relays: 4 });
  Object.assign(source.supernodes[0]!, { streams: 100, exits: 20 });
  Object.assign(source.supernodes[1]!, { streams: Number.NaN, exits: 1e300 });
  const { exits, clients, relays } = seen(source).totals;
  assertEquals([exits, clients, relays], [20, 80, 4]);
});

Deno.test("a thousand supernodes, each in a region of its own, are as many as fit", () => {
  const regions = Array.from({ length: 1000 }, (_, number) => `region-${number}`);
  const source = sourceOf({ regions, supernodes: 1000, exits: 2000, clients: 2000 });
  source.supernodes[999]!.state = "silent";
  const view = seen(source);
  assertEquals(view.totals.regions, 1000);
  assertEquals(view.regions.length, MAX_REGIONS + 1);
  assert(view.regions.includes(ELSEWHERE));
  const supernodes = view.nodes.filter(({ kind }) => kind === "supernode");
  assertEquals([supernodes.length, view.links.length], [MAX_DRAWN, MAX_DRAWN]);
  assertEquals(supernodes.filter(({ state }) => state === "silent").length, 1);
});

Deno.test("of telemetry that cannot be true nothing is shown", () => {
  const source = sourceOf({});
  const [client] = source.of("client");
  const [supernode] = source.supernodes;
  const inventory = source.inventory() as Inventory;
  Object.assign(client!, { load: -1, rttMs: 1e300, name: "\u202egnp.exe\n".repeat(50) });
  Object.assign(supernode!, { cpuPct: Infinity, streams: NaN });
  const { nodes } = viewOf(snapshotOf(inventory, new FakeClock().wallNow()), about);
  const drawn = nodes.find(({ id }) => id === client!.peerId)!;
  assertEquals([drawn.load, drawn.rttMs], [undefined, undefined]);
  assert(drawn.label.length <= 64 && /^[ -~…]+$/.test(drawn.label), drawn.label);
  const at = nodes.find(({ id }) => id === supernode!.supernodeId)!;
  assertEquals([at.cpuPct, at.streams], [undefined, undefined]);
});

Deno.test("whatever a network says, its view is as described, bounded, and leads nowhere that is not on it", () => {
  fc.assert(
    fc.property(anyInventory(), (inventory) => {
      const view = viewSchema.parse(JSON.parse(JSON.stringify(viewOf(snapshotOf(inventory, 1e12), about))));
      const ids = new Set([...view.nodes, ...view.groups].map(({ id }) => id));
      assertEquals(ids.size, view.nodes.length + view.groups.length);
      for (const { via } of view.routes) {
        assert(via.length >= 2);
        for (const id of via) assert(ids.has(id), `${id} is not drawn`);
      }
      for (const { from, to } of view.links) assert(ids.has(from) && ids.has(to));
      for (const { at } of [...view.nodes, ...view.groups]) assert(at === undefined || ids.has(at));
      for (const { region } of [...view.nodes, ...view.groups]) assert(view.regions.includes(region));
      assert(view.nodes.length <= 3 * MAX_DRAWN && view.groups.length <= MAX_DRAWN);
    }),
    { numRuns: 300 },
  );
});
