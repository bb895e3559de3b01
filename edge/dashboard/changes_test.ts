import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { ChangeTeller } from "./changes.ts";
import { anyInventory } from "./fixtures/hostile.ts";
import { Told } from "./fixtures/told.ts";
import type { Inventory, PeerFacts } from "./inventory.ts";
import { snapshotOf } from "./snapshot.ts";

Deno.test("the first look says what there is, and one that finds all as it was says nothing", () => {
  const told = new Told();
  assertEquals(told.lines(), []);
  const teller = new ChangeTeller();
  const snapshot = snapshotOf(told.source.inventory() as Inventory, 5);
  assertEquals(teller.tell(snapshot), [{
    atMs: 5,
    tone: "info",
    text: "Watching 3 supernodes, 21 peers, 12 sessions",
  }]);
});

Deno.test("peers that come and go are told by name, many alike as one line", () => {
  const told = new Told();
  const { source } = told;
  const one = source.addPeer("client", 0, { name: "laptop" });
  const relay = source.addPeer("relay", 0, { name: "relay-9" });
  assertEquals(told.lines().map(({ tone, text }) => [tone, text]), [
    ["info", "Client laptop came"],
    ["good", "Relay relay-9 came"],
  ]);
  const many = Array.from({ length: 214 }, (_, number) => source.addPeer("client", number));
  assertEquals(told.texts(), ["214 clients came"]);
  for (const { peerId } of [...many, one, relay]) source.peers.delete(peerId);
  assertEquals(told.lines().map(({ tone, text }) => [tone, text]), [
    ["info", "215 clients went"],
    ["warn", "Relay relay-9 went"],
  ]);
});

Deno.test("what becomes of supernodes, parts, links and blocks is told", async () => {
  const told = new Told({ hasParts: true, supernodes: 2 });
  const { source } = told;
  const { supernodeId } = source.supernodes[1]!;
  await source.act({ kind: "drain", supernodeId });
  assertEquals(told.texts(), ["Supernode supernode-2 is draining"]);
  await source.act({ kind: "kill_part", name: "supernode-2" });
  assertEquals(told.lines().map(({ tone, text }) => [tone, text]), [
    ["bad", "Supernode supernode-2 is silent"],
    ["bad", "Part supernode-2 is down"],
  ]);
  await source.act({ kind: "start_part", name: "supernode-2" });
  assertEquals(told.texts(), ["Supernode supernode-2 is well again", "Part supernode-2 is up again"]);
  const [link] = source.links.splice(0, 1);
  assertEquals(told.texts(), ["The link between supernode-1 and supernode-2 ended"]);
  source.links.push(link!);
  assertEquals(told.texts(), ["supernode-1 and supernode-2 are linked"]);
  source.blocked.add(supernodeId);
  assertEquals(told.texts(), ["supernode-2 is shut out"]);
});

Deno.test("an exit that fails, and is well again, is told", () => {
  const told = new Told();
  const exit: { -readonly [K in keyof PeerFacts]: PeerFacts[K] } = told.source.of("exit")[0]!;
  exit.isFailing = true;
  assertEquals(told.texts(), ["Exit exit-1 is failing"]);
  exit.isFailing = false;
  assertEquals(told.texts(), ["Exit exit-1 is well again"]);
});

Deno.test("whatever becomes of a network, few lines tell of it, and each of a bounded length", () => {
  fc.assert(
    fc.property(anyInventory(), anyInventory(), (one, other) => {
      const teller = new ChangeTeller();
      for (const inventory of [one, other, one]) {
        const lines = teller.tell(snapshotOf(inventory, 1e12));
        assert(lines.length <= 200, `${lines.length} lines`);
        for (const { text } of lines) assert(text.length <= 300, text);
      }
    }),
    { numRuns: 200 },
  );
});
