/** What nobody can make a relay do: reflect, loop, amplify, or lead by a ticket that is not its own or of another time. */

import { assert, assertEquals, assertLessOrEqual, assertNotEquals } from "@std/assert";
import fc from "fast-check";
import { anyBytes, mutationsOf } from "../../testing/fuzz.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import type { Bytes } from "../primitives.ts";
import { Slab } from "../slab.ts";
import { MAX_HOPS, routeBytes, RouteKind, TICKET_BYTES, turnAround } from "./datagram.ts";
import { EPOCH_MS } from "./epoch_keys.ts";
import { datagramOf, placeOf, PureRelay, RoutedNetwork } from "./fixtures/routed_network.ts";
import { Verdict } from "./forwarder.ts";
import { RouteStatus } from "./question.ts";

const A = "192.0.2.10:4000", B = "198.51.100.20:7000", VICTIM = "203.0.113.66:53";
const R1 = "192.0.2.1:9000", R2 = "192.0.2.2:9000", R3 = "[2001:db8::3]:9000";
const PAYLOAD = new TextEncoder().encode("what a relay does not read");

const random = new SeededRandom(7);
const keyOf = (seed: number) => new SeededRandom(seed).fill(new Uint8Array(32));
const relayKey = keyOf(1);

/** Relays that share a key, and what arrived where. */
function network(...relays: string[]) {
  const net = new RoutedNetwork();
  for (const at of relays) net.relays.set(at, new PureRelay({ relayKey, random }));
  const arrived: { readonly at: string; readonly from: string; readonly bytes: Bytes }[] = [];
  net.onArrival = (bytes, at, from) => arrived.push({ at, from, bytes });
  return { net, arrived };
}

function ticket(net: RoutedNetwork, relay: string, a: string, b: string, lifetimeMs = 600_000): Bytes {
  const slab = new Slab(TICKET_BYTES);
  const fields = { a: placeOf(a), b: placeOf(b), account: 1, lifetimeMs };
  net.relays.get(relay)!.sealer.seal(slab, 0, fields, net.time.wallMs);
  return slab.bytes.slice();
}

Deno.test("what comes from A goes to B, and B answers with what it was sent", () => {
  const { net, arrived } = network(R1);
  const answer = net.ask(A, R1, B, { relayKey, random })!;
  assertEquals(answer.status, RouteStatus.granted);
  assertEquals(answer.seen, placeOf(A));
  net.send(A, R1, datagramOf(RouteKind.data, [answer.ticket], PAYLOAD));
  const [{ at, from, bytes }] = arrived.splice(0) as [typeof arrived[0]];
  assertEquals([at, from], [B, R1]);
  assertEquals(bytes.subarray(routeBytes(1)), PAYLOAD);
  turnAround(bytes, 0, RouteKind.data);
  net.send(B, R1, bytes);
  assertEquals([arrived[0]!.at, arrived[0]!.from], [A, R1]);
  assertEquals(arrived[0]!.bytes.subarray(routeBytes(1)), PAYLOAD);
});

Deno.test("several relays are asked one through the other, and the answer finds its way back by all of them", () => {
  const keys = [relayKey, keyOf(2), keyOf(3)], places = [R1, R2, R3];
  const net = new RoutedNetwork();
  places.forEach((at, index) => net.relays.set(at, new PureRelay({ relayKey: keys[index]!, random })));
  const stack: Bytes[] = [];
  places.forEach((at, index) => {
    const next = places[index + 1] ?? B;
    stack.push(net.ask(A, at, next, { relayKey: keys[index]!, random, stack, first: R1 })!.ticket);
  });
  const arrived: [string, string, Bytes][] = [];
  net.onArrival = (bytes, at, from) => arrived.push([at, from, bytes]);
  net.send(A, R1, datagramOf(RouteKind.data, stack, PAYLOAD));
  const [at, from, bytes] = arrived[0]!;
  assertEquals([at, from], [B, R3]);
  turnAround(bytes, 0, RouteKind.data);
  net.send(B, R3, bytes);
  assertEquals(arrived[1]!.slice(0, 2), [A, R1]);
  assertEquals(arrived[1]![2].subarray(routeBytes(3)), PAYLOAD);
});

Deno.test("from a forged source nothing goes to anybody but the two places of the ticket", () => {
  const { net, arrived } = network(R1);
  const datagram = datagramOf(RouteKind.data, [ticket(net, R1, A, B)], PAYLOAD);
  for (const forged of [VICTIM, R1, "192.0.2.10:4001", "192.0.2.11:4000", "[2001:db8::1]:4000", "0.0.0.0:4000"]) {
    net.send(forged, R1, datagram);
  }
  assertEquals(arrived, []);
  net.send(A, R1, datagram);
  net.send(B, R1, datagram);
  assertEquals(arrived.map(({ at }) => at), [B, A]);
});

Deno.test("a question repeated from a forged source is answered to nobody", () => {
  const { net, arrived } = network(R1);
  let question: Uint8Array | undefined;
  const relay = net.relays.get(R1)!;
  const receive = relay.receive.bind(relay);
  relay.receive = (datagram, from, time) => {
    question ??= datagram.slice();
    return receive(datagram, from, time);
  };
  assertNotEquals(net.ask(A, R1, B, { relayKey, random }), undefined);
  for (const from of [VICTIM, A]) net.send(from, R1, question!);
  assertEquals(arrived, []);
});

/** Any stack of tickets among relays of one key, their own places as A and B too, and senders of any source. */
const places = [A, B, VICTIM, R1, R2, R3] as const;
const anyPlace = fc.constantFrom(...places);
const anyTicket = fc.tuple(anyPlace, anyPlace);
const anyKind = fc.constantFrom(RouteKind.data, RouteKind.question, RouteKind.answer);

Deno.test("no datagram loops or grows, whatever its stack says, among relays that share a key", () => {
  fc.assert(fc.property(
    fc.array(anyTicket, { maxLength: MAX_HOPS }),
    fc.record({
      from: anyPlace,
      to: fc.constantFrom(R1, R2, R3),
      kind: anyKind,
      passed: fc.integer({ min: 0, max: 4 }),
    }),
    (tickets, { from, to, kind, passed }) => {
      const { net } = network(R1, R2, R3);
      const stack = tickets.map(([a, b]) => ticket(net, R1, a, b));
      const datagram = datagramOf(kind, stack, PAYLOAD, { passed: Math.min(passed, stack.length) });
      net.send(from, to, datagram);
      assertLessOrEqual(net.sent.length, 1 + MAX_HOPS);
      for (const { bytes } of net.sent) assertEquals(bytes, datagram.length);
    },
  ));
});

Deno.test("an answer goes back by as many relays as the question came by, and ends there", () => {
  const { net } = network(R1, R2, R3);
  const ring = [ticket(net, R1, A, R2), ticket(net, R1, R1, R3), ticket(net, R1, R2, R1), ticket(net, R1, R3, R2)];
  net.ask(A, R2, B, { relayKey, random, stack: ring, first: R1 });
  assertLessOrEqual(net.sent.length, 2 * (1 + MAX_HOPS));
  assertEquals(new Set(net.sent.map(({ bytes }) => bytes)).size, 1);
  net.sent = [];
  // The relay to itself, four times.
  net.ask(A, R1, B, { relayKey, random, stack: [ticket(net, R1, A, R1), ...Array(3).fill(ticket(net, R1, R1, R1))] });
  assertLessOrEqual(net.sent.length, 2 * (1 + MAX_HOPS));
});

Deno.test("nobody gets a ticket back to where the question came from, or to many hosts at once", () => {
  const { net } = network(R1);
  for (
    const to of [
      A,
      "224.0.0.1:7000",
      "255.255.255.255:7000",
      "0.0.0.0:7000",
      "[ff02::1]:7000",
      "[::]:7000",
      "192.0.2.5:0",
    ]
  ) {
    assertEquals(net.ask(A, R1, to, { relayKey, random })?.status, RouteStatus.closed, to);
  }
});

Deno.test("a ticket ends when it says so, and with the hour after its own", () => {
  const { net, arrived } = network(R1);
  const startMs = net.time.wallMs;
  const verdicts = net.relays.get(R1)!.verdicts;
  const last = (atMs: number, bytes: Bytes) => {
    net.time.wallMs = atMs;
    net.send(A, R1, bytes);
    return verdicts.at(-1);
  };
  const short = datagramOf(RouteKind.data, [ticket(net, R1, A, B, 60_000)], PAYLOAD);
  const long = datagramOf(RouteKind.data, [ticket(net, R1, A, B, EPOCH_MS)], PAYLOAD);
  assertEquals(last(startMs + 59_000, short), Verdict.forward);
  assertEquals(last(startMs + 61_000, short), Verdict.expired);
  assertEquals(last(startMs + 59 * 60_000, long), Verdict.forward);
  assertEquals(last(startMs + 61 * 60_000, long), Verdict.expired);
  assertEquals(last(startMs + 2 * EPOCH_MS, long), Verdict.foreign);
  assertEquals(last(startMs + 4 * EPOCH_MS, long), Verdict.foreign);
  // A relay whose clock is a little behind that of the one that made the ticket.
  const edgeMs = startMs + EPOCH_MS / 2;
  net.time.wallMs = edgeMs + 1000;
  const ahead = datagramOf(RouteKind.data, [ticket(net, R1, A, B)], PAYLOAD);
  assertEquals(last(edgeMs - 1000, ahead), Verdict.forward);
  assertEquals(last(edgeMs - 2 * EPOCH_MS, ahead), Verdict.foreign);
  assertEquals(arrived.length, 3);
});

Deno.test("a relay that was killed and started again, and another with its key, go on; one with another key does not", () => {
  const { net, arrived } = network(R1);
  const datagram = datagramOf(RouteKind.data, [net.ask(A, R1, B, { relayKey, random })!.ticket], PAYLOAD);
  net.relays.set(R1, new PureRelay({ relayKey, random: new SeededRandom(99) }));
  net.send(A, R1, datagram);
  net.relays.set(R2, new PureRelay({ relayKey, random: new SeededRandom(100) }));
  net.send(A, R2, datagram);
  assertEquals(arrived.map(({ at, from }) => [at, from]), [[B, R1], [B, R2]]);
  net.relays.set(R1, new PureRelay({ relayKey: keyOf(9), random }));
  net.send(A, R1, datagram);
  assertEquals(arrived.length, 2);
  assertEquals(net.relays.get(R1)!.verdicts, [Verdict.foreign]);
});

Deno.test("no change of a ticket passes, and no bytes disturb a relay", () => {
  const { net, arrived } = network(R1);
  const valid = datagramOf(RouteKind.data, [ticket(net, R1, A, B)], PAYLOAD);
  for (let bit = 0; bit < 8 * TICKET_BYTES; bit++) {
    const changed = valid.slice();
    changed[8 + (bit >> 3)]! ^= 1 << (bit & 7);
    net.send(A, R1, changed);
    // The last good one was read just before.
    if (bit === 100) net.send(A, R1, valid);
  }
  assertEquals(arrived.length, 1);
  const relay = net.relays.get(R1)!;
  const survives = (bytes: Uint8Array) => {
    const sent = relay.receive(bytes, placeOf(A), net.time);
    assert(!sent || sent.bytes.length === bytes.length);
  };
  fc.assert(fc.property(anyBytes(600), survives), { numRuns: 1000 });
  fc.assert(fc.property(mutationsOf(fc.constant(valid)), survives), { numRuns: 1000 });
});

Deno.test("an account and an epoch send no more than they may, whatever the flow", () => {
  for (const rates of [{ accountBytesPerS: 1_000_000 }, { epochBytesPerS: 1_000_000 }]) {
    const net = new RoutedNetwork();
    net.relays.set(R1, new PureRelay({ relayKey, random, rates }));
    let bytes = 0;
    net.onArrival = (datagram) => bytes += datagram.length;
    for (let ms = 0; ms < 2000; ms++) {
      net.time.nowMs = ms;
      const fresh = ticket(net, R1, A, `198.51.100.20:${5000 + ms}`);
      for (let count = 0; count < 5; count++) {
        net.send(A, R1, datagramOf(RouteKind.data, [fresh], new Uint8Array(1000)));
      }
    }
    assert(bytes > 1_900_000 && bytes < 2_300_000, `${bytes}`);
  }
});
