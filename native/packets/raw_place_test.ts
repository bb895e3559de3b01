import { assert, assertEquals, assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import { parseIp } from "../../protocol/ip.ts";
import { tcpLook } from "../../protocol/tcp_look/look.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { RawPlaces } from "./raw_place.ts";

const [OURS, THEIRS] = [parseIp("192.0.2.1")!, parseIp("198.51.100.7")!];
const ends = { source: OURS, sourcePort: 45_000, destination: THEIRS, destinationPort: 40_000 };

function places(showsLocalPort = false): RawPlaces {
  return new RawPlaces(tcpLook("ours", { side: "server", random: new SeededRandom(1), unixMs: 0 }), showsLocalPort);
}

/** As they lie in a packet from there. */
function addresses(theirs = THEIRS): Uint8Array<ArrayBuffer> {
  return new Uint8Array([...theirs, ...OURS]);
}

Deno.test("a packet from a place that is sent to is from that very place, until one of its four differs", () => {
  const known = places();
  const place = known.of(ends);
  assertStrictEquals(known.from(addresses(), 0, false, 40_000, 45_000), place);
  assertNotStrictEquals(known.from(addresses(), 0, false, 40_001, 45_000), place);
  assertNotStrictEquals(known.from(addresses(), 0, false, 40_000, 45_001), place);
  assertNotStrictEquals(known.from(addresses(parseIp("198.51.100.8")!), 0, false, 40_000, 45_000), place);
});

Deno.test("a key tells our port only where there are several", () => {
  assertEquals(places().of(ends).key, "198.51.100.7:40000");
  assertEquals(places(true).of(ends).key, "198.51.100.7:40000>45000");
});

Deno.test("the way back is learnt from the frames that came, and changes with them; a route is stronger", () => {
  const frame = (mac: number) => new Uint8Array([...Array(6).fill(1), ...Array(6).fill(mac), 8, 0]);
  const place = places().of(ends);
  place.learnHop(3, frame(7), 0, 14);
  assertEquals([place.nextHop!.interfaceIndex, place.nextHop!.macs!.to[0], place.nextHop!.macs!.own[0]], [3, 7, 1]);
  const name = place.hopName;
  place.learnHop(3, frame(7), 0, 14);
  assertStrictEquals(place.hopName, name);
  place.learnHop(4, frame(8), 0, 14);
  assertEquals([place.nextHop!.interfaceIndex, place.nextHop!.macs!.to[0], place.hopName[1]], [4, 8, 4]);
  place.learnHop(5, frame(8), 0, 0);
  assertEquals(place.nextHop, { interfaceIndex: 5, macs: undefined });
  place.learnHop(6, frame(8), 0, 18);
  assertEquals(place.nextHop!.interfaceIndex, 5, "a link header of another kind is not answered");
  place.follow(undefined, undefined);
  place.learnHop(3, frame(7), 0, 14);
  assertEquals(place.nextHop, undefined);
});

Deno.test("from another address of ours a place begins again, with the same key", () => {
  const place = places().of(ends), { flow, key } = place, moved = parseIp("192.0.2.9")!;
  place.follow(undefined, OURS);
  assertStrictEquals(place.flow, flow);
  place.follow(undefined, moved);
  assertNotStrictEquals(place.flow, flow);
  assertEquals([place.key, place.ends.source], [key, moved]);
});

Deno.test("more places than there is room for are told apart all the same", () => {
  const known = places();
  for (let source = 0; source < 40_000; source++) {
    const theirs = Uint8Array.of(10, source >> 8, source & 0xff, source % 3);
    const place = known.from(addresses(theirs), 0, false, 1 + source, 45_000);
    assert(place.port === 1 + source && place.ends.destination[3] === source % 3);
  }
});

Deno.test("a place of each of our ports is remembered at once", () => {
  const known = places(true);
  const all = Array.from({ length: 64 }, (_, index) => known.of({ ...ends, sourcePort: 45_000 + index }));
  all.forEach((place, index) => assertStrictEquals(known.of({ ...ends, sourcePort: 45_000 + index }), place));
});

Deno.test("forged sources drive out no place that is sent to", () => {
  const known = places();
  const genuine = Array.from({ length: 1000 }, (_, index) => known.from(addresses(), 0, false, 1 + index, 45_000));
  for (const { flow } of genuine) assert(flow);
  for (let source = 0; source < 30_000; source++) {
    const theirs = Uint8Array.of(10, source >> 16, source >> 8 & 0xff, source & 0xff);
    known.from(addresses(theirs), 0, false, 1 + source % 65_535, 45_000);
  }
  const kept = genuine.filter((place, index) => known.from(addresses(), 0, false, 1 + index, 45_000) === place);
  assert(kept.length > 990, `${kept.length} of ${genuine.length} were kept`);
});
