import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { RelayGateway, RelayRecord } from "../../protocol/directory.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { chooseRoute, type Route, type RouteWish } from "./choose_route.ts";

function relay(relayId: string, gatewayIds: string[] = [], load = 0): RelayRecord {
  const gateways = gatewayIds.map((gatewayId) => ({ gatewayId }) as RelayGateway);
  return { relayId, load, gateways } as Partial<RelayRecord> as RelayRecord;
}

function choose(known: RelayRecord[], wish: Partial<RouteWish> = {}, seed = 1) {
  return chooseRoute(known, { hops: 2, isAvoided: () => false, random: new SeededRandom(seed), ...wish });
}

function idsOf(route: ReturnType<typeof choose>): string[] {
  const { relays, gateway } = route as Route;
  return [...relays.map(({ relayId }) => relayId), gateway.gatewayId];
}

Deno.test("a route has so many relays, none twice, and its last leads to the gateway", () => {
  const relays = fc.array(fc.record({ load: fc.double({ min: 0, max: 1, noNaN: true }), gates: fc.boolean() }), {
    minLength: 2,
    maxLength: 12,
  });
  fc.assert(
    fc.property(relays, fc.integer({ min: 2, max: 10 }), fc.nat(), fc.nat({ max: 11 }), (shapes, hops, seed, entry) => {
      const known = shapes.map(({ load, gates }, at) => relay(`r${at}`, gates ? ["g", `own${at}`] : [], load));
      const route = choose(known, { hops, entryId: `r${entry}` }, seed);
      const possible = known.length >= hops && shapes.some(({ gates }) => gates);
      assertEquals("relays" in route, possible);
      if (!("relays" in route)) return;
      const ids = route.relays.map(({ relayId }) => relayId);
      assertEquals([ids.length, new Set(ids).size], [hops, hops]);
      assert(route.relays.at(-1)!.gateways!.some(({ gatewayId }) => gatewayId === route.gateway.gatewayId));
    }),
  );
});

Deno.test("a route begins with the entry it is told to, but for one that alone leads to the gateway", () => {
  const known = [relay("a", ["g"]), relay("b", ["g"]), relay("c"), relay("d")];
  for (let seed = 0; seed < 20; seed++) {
    assertEquals(idsOf(choose(known, { entryId: "a", hops: 3 }, seed))[0], "a");
    const [first, last] = idsOf(choose(known.with(1, relay("b")), { entryId: "a" }, seed));
    assertEquals([first === "a", last], [false, "a"]);
  }
});

Deno.test("relays and gateways that are avoided are used only if there are no others", () => {
  const known = [relay("a", ["g", "h"]), relay("b", ["g", "h"]), relay("c"), relay("d")];
  for (let seed = 0; seed < 20; seed++) {
    const isAvoided = (id: string) => ["a", "c", "g"].includes(id);
    assertEquals(idsOf(choose(known, { isAvoided }, seed)), ["d", "b", "h"]);
  }
  assertEquals(idsOf(choose(known, { isAvoided: () => true, hops: 4 })).length, 5);
});

Deno.test("those with more to spare are used more, and nobody is left out", () => {
  const known = [relay("a", ["g"]), relay("idle"), relay("busy", [], 0.9), relay("full", [], 1)];
  const counts: Record<string, number> = {};
  for (let seed = 0; seed < 2000; seed++) {
    const [first] = idsOf(choose(known, {}, seed));
    counts[first!] = (counts[first!] ?? 0) + 1;
  }
  assert(counts["idle"]! > 5 * counts["busy"]!);
  assert(counts["full"]! > 20);
});

Deno.test("what is missing for a route is told", () => {
  const rows: [RelayRecord[], Partial<RouteWish>, string][] = [
    [[relay("a", ["g"])], {}, "it needs 2 relays, and the directory has 1"],
    [[relay("a"), relay("b")], {}, "any gateway must be linked to a relay of the directory, and none is"],
    [
      [relay("a", ["g"]), relay("b")],
      { gatewayId: "h" },
      "the gateway h must be linked to a relay of the directory, and none is",
    ],
  ];
  for (const [known, wish, problem] of rows) assertEquals(choose(known, wish), { problem });
});
