import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { FakeClock } from "../../testing/fake_clock.ts";
import type { RowQuery } from "./api.ts";
import { type FakeNetworkOptions, FakeSource } from "./fixtures/fake_source.ts";
import { anyInventory } from "./fixtures/hostile.ts";
import type { Inventory } from "./inventory.ts";
import { peerPageSchema, sessionPageSchema } from "./messages.ts";
import { MAX_ROWS, PEER_COLUMNS, peerRows, SESSION_COLUMNS, sessionRows } from "./rows.ts";
import { snapshotOf } from "./snapshot.ts";

function tablesOf(options: Omit<FakeNetworkOptions, "clock"> = {}) {
  const clock = new FakeClock();
  const source = new FakeSource({ clock, ...options });
  const snapshot = () => snapshotOf(source.inventory() as Inventory, clock.wallNow());
  return {
    source,
    peers: (query: RowQuery = {}) => peerRows(snapshot(), query),
    sessions: (query: RowQuery = {}) => sessionRows(snapshot(), query),
  };
}

Deno.test("a page is of what fits the search, in the order asked for, from the place asked for", () => {
  const { peers } = tablesOf({ exits: 30 });
  const names = (query: RowQuery) => peers(query).rows.map(({ name }) => name);
  assertEquals(names({ search: "EXIT-1", sort: "name", limit: 3 }), ["exit-1", "exit-10", "exit-11"]);
  assertEquals(names({ search: "exit-1", sort: "-name", limit: 2, offset: 1 }), ["exit-18", "exit-17"]);
  assertEquals(peers({ search: "exit-1" }).total, 11);
  assertEquals(peers({ search: "exit eu-west good" }).rows.every(({ region }) => region === "eu-west"), true);
  assertEquals(peers({ search: "nobody" }), { rows: [], total: 0 });
  assertEquals(peers({ offset: 1000 }).rows, []);
  assertEquals(peers().rows.length, 48);
});

Deno.test("supernodes are among the peers, with what they are called where their peers are", () => {
  const { source, peers } = tablesOf();
  const { rows, total } = peers({ search: "supernode-1" });
  assertEquals(total, 7);
  assertEquals(rows.filter(({ kind }) => kind === "supernode").map(({ name }) => name), ["supernode-1"]);
  const [exit] = source.of("exit");
  source.blocked.add(exit!.peerId);
  const [row] = peers({ search: "blocked" }).rows;
  assertEquals([row?.peerId, row?.isBlocked, row?.state, row?.supernodeName], [
    exit!.peerId,
    true,
    "blocked",
    "supernode-1",
  ]);
});

Deno.test("what is not known is at the end, whichever way it is sorted", () => {
  const { source, peers } = tablesOf({ supernodes: 1, exits: 0, clients: 3, relays: 0 });
  const [one, two, three] = source.of("client");
  Object.assign(one!, { txMbps: 5 });
  Object.assign(two!, { txMbps: undefined });
  Object.assign(three!, { txMbps: 1e300 });
  for (const sort of ["txMbps", "-txMbps"]) {
    assertEquals(peers({ sort, search: "client" }).rows.map(({ txMbps }) => txMbps), [5, undefined, undefined]);
  }
});

Deno.test("sessions are found by the names of both ends", () => {
  const { source, sessions } = tablesOf();
  const [session] = source.sessions.values();
  const exitName = source.peers.get(session!.exitPeerId!)!.name!;
  const [row] = sessions({ search: `client-1 ${exitName} active`, sort: "clientName" }).rows;
  assertEquals([row?.clientName, row?.exitName, row?.sessionId], ["client-1", exitName, session!.sessionId]);
  session!.state = "ended";
  assertEquals(sessions().total, 11);
});

Deno.test("ten thousand peers are given a page at a time", () => {
  const { peers } = tablesOf({ clients: 10_000 });
  const { rows, total } = peers({ sort: "-load", limit: 5000 });
  assertEquals([rows.length, total], [MAX_ROWS, 10_012]);
  assert(JSON.stringify(rows).length < 200_000);
});

Deno.test("whatever a network says, its tables are as described, and pages put together are the whole", () => {
  const sort = (columns: readonly string[]) =>
    fc.option(fc.tuple(fc.constantFrom("", "-"), fc.constantFrom(...columns)).map((each) => each.join("")), {
      nil: undefined,
    });
  fc.assert(
    fc.property(anyInventory(), sort(PEER_COLUMNS), sort(SESSION_COLUMNS), (inventory, ofPeers, ofSessions) => {
      const snapshot = snapshotOf(inventory, 1e12);
      const all = peerRows(snapshot, { sort: ofPeers, limit: 200 });
      peerPageSchema.parse(JSON.parse(JSON.stringify(all)));
      const pages = Array.from({ length: 7 }, (_, page) => {
        return peerRows(snapshot, { sort: ofPeers, limit: 30, offset: 30 * page }).rows;
      });
      assertEquals(pages.flat().slice(0, 200), all.rows);
      sessionPageSchema.parse(JSON.parse(JSON.stringify(sessionRows(snapshot, { sort: ofSessions }))));
    }),
    { numRuns: 100 },
  );
});
