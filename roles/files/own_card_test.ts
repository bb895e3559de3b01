import { assertEquals } from "@std/assert";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { refusalOfCard } from "../../protocol/peers/card.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { OwnCard, type OwnPlaces } from "./own_card.ts";

const primitives = hostPrimitives();
const identity = new Identity(generateSecrets(new SeededRandom(5)), primitives);
const relay = { relayId: identity.peerId, url: "https://relay.example/" };

function cardOf(places: OwnPlaces, hosts: readonly string[] = []) {
  const clock = new FakeClock();
  const card = new OwnCard({
    ...{ identity, clock, label: "me", region: "eu", capabilities: ["files"] },
    places: () => places,
    hosts: () => hosts,
  });
  return { clock, card };
}

Deno.test("a card says where its peer listens, in words that others can use", () => {
  const hosts = ["127.0.0.1", "::1", "fe80::1", "192.168.1.7", "2001:db8::7"];
  const table: [what: string, places: Partial<OwnPlaces>, addresses: string[]][] = [
    ["nowhere", {}, []],
    ["one address", { listening: { host: "192.168.1.7", port: 4100 } }, ["192.168.1.7:4100"]],
    ["this machine alone", { listening: { host: "127.0.0.1", port: 4100 } }, ["127.0.0.1:4100"]],
    ["all of them", { listening: { host: "::", port: 4100 } }, [
      "[::]:4100",
      "192.168.1.7:4100",
      "[2001:db8::7]:4100",
    ]],
    ["as it was told", { advertised: ["home.example:4100"], listening: { host: "::", port: 1 } }, [
      "home.example:4100",
    ]],
  ];
  for (const [what, places, addresses] of table) {
    const { card } = cardOf({ advertised: [], listening: undefined, relays: [], ...places }, hosts);
    assertEquals(card.current.addresses, addresses, what);
    assertEquals(refusalOfCard(card.current, primitives), undefined);
  }
});

Deno.test("a card is made anew when something in it changes, and is later than the one before", () => {
  const places = { advertised: [], listening: { host: "10.0.0.1", port: 1 }, relays: [] as typeof relay[] };
  const { card } = cardOf(places);
  const first = card.current;
  assertEquals(card.current, first);
  places.relays.push(relay);
  const second = card.current;
  assertEquals([second.relays, second.issuedAtMs > first.issuedAtMs], [[relay], true]);
});

Deno.test("who has not heard of it from a tracker is told where trackers see it", () => {
  const { card } = cardOf({ advertised: [], listening: { host: "0.0.0.0", port: 9 }, relays: [relay] }, ["10.0.0.1"]);
  const seen = card.seenAt(["203.0.113.7", "2001:db8::9"]);
  assertEquals(seen.addresses, ["203.0.113.7:9", "[2001:db8::9]:9", "10.0.0.1:9"]);
  assertEquals(seen.relays, [relay]);
  // What a tracker sees now counts for more than what was seen then.
  assertEquals(seen.issuedAtMs, card.current.issuedAtMs);
  assertEquals(refusalOfCard(seen, primitives), undefined);
  assertEquals(card.current.addresses, ["0.0.0.0:9", "10.0.0.1:9"]);
});
