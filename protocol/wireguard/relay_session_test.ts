import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { anyBytes, mutationsOf } from "../../testing/fuzz.ts";
import { Slab } from "../slab.ts";
import { COOKIE_REPLY_TYPE, INITIATION_TYPE, RESPONSE_TYPE } from "./constants.ts";
import { clientKey, exitKey, placeOf, RelayWorld, type WorldOptions } from "./fixtures/relayed_devices.ts";
import { cookieFor, dataFor, initiationFor, responseFor } from "./fixtures/relayed_messages.ts";
import { Mac1Checker } from "./mac1.ts";
import { equalEndpoints } from "./endpoint.ts";
import { RelayedSession } from "./relay_session.ts";
import type { Endpoint } from "./settings.ts";

const stranger = placeOf(66, 6666);

function joined(options: WorldOptions = {}): RelayWorld {
  const world = new RelayWorld(options);
  world.exit.initiate();
  world.client.initiate();
  assert(world.isJoined());
  return world;
}

Deno.test("two sides behind NATs find each other, whoever comes first", () => {
  for (const [first, second] of [["exit", "client"], ["client", "exit"]] as const) {
    const world = new RelayWorld();
    world[first].initiate();
    assertEquals(world.learned, [], `${first} first`);
    world.nowMs += 5000;
    world[second].initiate();
    assert(world.isJoined(), `${first} first`);
    assertEquals(world.session.clientAt, world.client.place);
    assertEquals(world.session.exitAt, world.exit.place);
    assertEquals(world.learned.length, 2);
    assertEquals(world.astray, []);
  }
});

Deno.test("with one side placed, a single initiation from either side joins them", () => {
  const [client, exit] = [placeOf(1, 1000), placeOf(2, 2000)];
  for (const options of [{ clientAt: client }, { exitAt: exit }]) {
    for (const first of ["client", "exit"] as const) {
      const world = new RelayWorld(options);
      const isUnknown = (first === "client") !== ("exitAt" in options);
      // The side that is not placed has to speak first: nobody knows where it is.
      if (isUnknown) world[first === "client" ? "exit" : "client"].initiate();
      else world[first].initiate();
      assert(world.isJoined(), `${Object.keys(options)}, ${first}`);
    }
  }
});

Deno.test("a side may be placed and moved from outside", () => {
  const world = joined();
  world.exit.place = placeOf(3, 3000);
  assert(!world.isJoined());
  world.session.place("exit", world.exit.place);
  assert(world.isJoined());
});

Deno.test("a side that has moved is found by its next handshake", () => {
  for (const side of ["client", "exit"] as const) {
    const world = joined();
    world[side].place = placeOf(9, 999);
    assert(!world.isJoined(), side);
    world.learned.length = 0;
    world[side].initiate();
    assert(world.isJoined(), side);
    assertEquals(world.learned, [[side, placeOf(9, 999)]]);
    assertEquals(world.astray.length, 1, "only the data before went to the old place");
  }
});

Deno.test("both sides initiate again and again where they are, and nothing is learned", () => {
  const world = joined();
  world.learned.length = 0;
  for (let round = 0; round < 300; round++) {
    world[round % 2 ? "client" : "exit"].initiate();
    assert(world.isJoined());
  }
  assertEquals(world.learned, []);
});

Deno.test("a response alone takes nothing: only data behind it shows that it was a true one", () => {
  const world = new RelayWorld({ exitAt: placeOf(2, 2000) });
  const at = placeOf(1, 1000);
  world.losing(() => {
    assertEquals(world.send(at, initiationFor(exitKey, 5)), [world.exit.place]);
    assertEquals(world.send(world.exit.place, responseFor(clientKey, 6, 5)), [at]);
    assertEquals(world.session.clientAt, undefined);
    assertEquals(world.send(at, dataFor(7)), []);
    assertEquals(world.send(placeOf(1, 1001), dataFor(6)), []);
    assertEquals(world.send(at, dataFor(6)), [world.exit.place]);
    assertEquals(world.session.clientAt, at);
  });
});

Deno.test("a response goes on only if its index was asked where it comes from, and its mac1 fits", () => {
  const world = new RelayWorld({ exitAt: placeOf(2, 2000) });
  const at = placeOf(1, 1000);
  world.losing(() => {
    world.send(at, initiationFor(exitKey, 5));
    const rows = [
      { name: "another index", from: world.exit.place, packet: responseFor(clientKey, 6, 4) },
      { name: "another place", from: stranger, packet: responseFor(clientKey, 6, 5) },
      { name: "a mac1 for the exit", from: world.exit.place, packet: responseFor(exitKey, 6, 5) },
      { name: "a cookie from another place", from: stranger, packet: cookieFor(5) },
      { name: "a cookie for another index", from: world.exit.place, packet: cookieFor(6) },
    ];
    for (const { name, from, packet } of rows) assertEquals(world.send(from, packet), [], name);
    assertEquals(world.send(world.exit.place, cookieFor(5)), [at]);
    assertEquals(world.send(world.exit.place, responseFor(clientKey, 6, 5)), [at]);
    assertEquals(world.send(at, cookieFor(6)), [world.exit.place], "a cookie for the response");
  });
});

Deno.test("who forges an answer to an initiation that was copied to him takes nothing", () => {
  const world = new RelayWorld();
  world.exit.initiate();
  world.send(stranger, initiationFor(clientKey, 66));
  world.losing(() => world.client.initiate());
  world.client.initiate();
  const copy = world.astray.at(-1)!.packet;
  const index = new DataView(copy.buffer).getUint32(4, true);
  world.send(stranger, responseFor(clientKey, 666, index));
  assert(world.isJoined());
  assertEquals(world.session.exitAt, world.exit.place);
});

Deno.test("an answer that was forged before the true one came does not stand in its way", () => {
  const world = new RelayWorld({ clientAt: placeOf(1, 1000) });
  world.losing(() => world.exit.initiate());
  world.send(stranger, initiationFor(clientKey, 66));
  const at = world.client.place;
  world.losing(() => {
    assertEquals(world.send(at, initiationFor(exitKey, 5)), [stranger, world.exit.place]);
    world.send(stranger, responseFor(clientKey, 666, 5));
    world.send(world.exit.place, responseFor(clientKey, 6, 5));
    world.send(stranger, responseFor(clientKey, 667, 5));
    assertEquals(world.send(at, dataFor(6)), [world.exit.place]);
  });
  assertEquals(world.session.exitAt, world.exit.place);
});

Deno.test("an initiation is copied to four candidates at most, two of one host, the newest first, and not for ever", () => {
  const world = new RelayWorld();
  world.losing(() => {
    for (let host = 10; host < 16; host++) world.send(placeOf(host, 1), initiationFor(clientKey, host));
    for (let port = 1; port < 6; port++) world.send(placeOf(66, port), initiationFor(clientKey, port));
    const expected = [placeOf(66, 5), placeOf(66, 4), placeOf(15, 1), placeOf(14, 1)];
    assertEquals(world.send(placeOf(1, 1), initiationFor(exitKey, 5)), expected);
    world.nowMs = 30_000;
    assertEquals(world.send(placeOf(1, 1), initiationFor(exitKey, 5)), []);
  });
});

Deno.test("what fits neither key, or names nothing, is dropped", () => {
  const world = joined();
  const rows = [
    { name: "an initiation for somebody else", packet: initiationFor(new Uint8Array(32), 1) },
    { name: "a response", packet: responseFor(clientKey, 1, 2) },
    { name: "a cookie", packet: cookieFor(1) },
    { name: "data", packet: dataFor(world.client.peerIndex!) },
    { name: "a datagram that is too short", packet: dataFor(1).subarray(0, 31) },
    { name: "nothing", packet: new Uint8Array(0) },
  ];
  for (const { name, packet } of rows) assertEquals(world.send(stranger, packet), [], name);
});

Deno.test("of a flood of forged initiations fifty a second have their macs looked at, and the sides do not notice", () => {
  const world = joined();
  const forged = initiationFor(exitKey, 66);
  world.nowMs += 1000;
  world.losing(() => {
    const passed = Array.from({ length: 1000 }, (_, at) => world.send(placeOf(66, at + 1), forged).length);
    assertEquals(passed.filter((count) => count > 0).length, 50);
  });
  world.client.initiate();
  world.exit.initiate();
  assert(world.isJoined());
  world.client.place = placeOf(7, 7);
  world.nowMs += 1000;
  world.client.initiate();
  assert(world.isJoined());
});

Deno.test("an initiation is not awaited from a place not known while too many have been looked at", () => {
  const session = new RelayedSession<Endpoint>(new Mac1Checker(), { clientKey, exitKey });
  const packet = initiationFor(new Uint8Array(32), 1);
  const slab = new Slab(packet.length);
  slab.bytes.set(packet);
  const isAwaited = (nowMs: number) => session.isAwaited(slab, 0, INITIATION_TYPE, nowMs);
  assert(isAwaited(1000));
  for (let count = 0; count < 50; count++) session.take(slab, 0, packet.length, stranger, 1000);
  assertEquals([isAwaited(1000), isAwaited(1020)], [false, true]);
});

Deno.test("the two keys must differ", () => {
  assertThrows(() => new RelayedSession(new Mac1Checker(), { clientKey, exitKey: clientKey }), RangeError, "the same");
});

/** What a stranger who knows both keys can do; his indexes are never those of the devices, which he does not see. */
const anyForgery = fc.oneof(
  fc.record({ what: fc.constant("initiation" as const), isForExit: fc.boolean(), sender: fc.nat(5) }),
  fc.record({
    what: fc.constant("response" as const),
    isForExit: fc.boolean(),
    sender: fc.nat(5),
    receiver: fc.nat(5),
  }),
  fc.record({ what: fc.constant("data" as const), receiver: fc.nat(5) }),
  fc.record({ what: fc.constant("cookie" as const), receiver: fc.nat(5) }),
);
type Forgery = typeof anyForgery extends fc.Arbitrary<infer F> ? F : never;

function forge(forgery: Forgery): Uint8Array {
  switch (forgery.what) {
    case "initiation":
      return initiationFor(forgery.isForExit ? exitKey : clientKey, forgery.sender);
    case "response":
      return responseFor(forgery.isForExit ? exitKey : clientKey, forgery.sender, forgery.receiver);
    case "data":
      return dataFor(forgery.receiver);
    case "cookie":
      return cookieFor(forgery.receiver);
  }
}

const anyStep = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ forgery: anyForgery, host: fc.integer({ min: 60, max: 65 }), port: fc.constantFrom(1, 2) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ device: fc.constantFrom("client" as const, "exit" as const), moves: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ passedMs: fc.nat(6000) }) },
);

const anyStart: fc.Arbitrary<WorldOptions | "joined"> = fc.constantFrom(
  "joined" as const,
  { clientAt: placeOf(1, 1000) },
  { exitAt: placeOf(2, 2000) },
);

Deno.test("a stranger who knows both keys takes no side and breaks none, whatever he sends and whenever", () => {
  fc.assert(
    fc.property(anyStart, fc.array(anyStep, { maxLength: 60 }), (start, steps) => {
      const world = start === "joined" ? joined() : new RelayWorld(start);
      const own: Endpoint[] = [world.client.place, world.exit.place];
      const isOurs = (at: Endpoint | undefined) => at === undefined || own.some((each) => equalEndpoints(each, at));
      const isKnown = () => world.session.clientAt && world.session.exitAt;
      let moved = 0;
      for (const step of steps) {
        if ("forgery" in step) world.send(placeOf(step.host, step.port), forge(step.forgery));
        else if ("passedMs" in step) world.nowMs += step.passedMs;
        else {
          const device = world[step.device];
          // One side at a time, and only where the other side's place is known to send to.
          if (step.moves && isKnown()) own.push(device.place = placeOf(100, ++moved));
          device.initiate();
        }
        assert(isOurs(world.session.clientAt) && isOurs(world.session.exitAt), "a stranger took a side");
      }
      world.nowMs += 5000;
      world.exit.initiate();
      world.client.initiate();
      assert(world.isJoined(), "a stranger broke the session");
    }),
    { numRuns: 500 },
  );
});

Deno.test("whatever comes from wherever, a session between two known places stays between them", () => {
  const messages = [initiationFor(exitKey, 1), responseFor(clientKey, 1, 2), cookieFor(1), dataFor(1)];
  const anyPacket = fc.oneof(anyBytes(200), mutationsOf(fc.constantFrom(...messages)));
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(3), anyPacket), { maxLength: 50 }), (datagrams) => {
    const world = joined();
    const { clientAt, exitAt } = world.session;
    const places = [clientAt!, exitAt!, stranger, placeOf(67, 1)];
    world.losing(() => {
      for (const [from, packet] of datagrams) {
        const to = world.send(places[from]!, packet.subarray(0, 200));
        // A side that answers a stranger's initiation is sent on to him: under load a device does so by a cookie.
        const answers = packet[0] === RESPONSE_TYPE || packet[0] === COOKIE_REPLY_TYPE;
        assert(to.every((at) => at === clientAt || at === exitAt || from > 1 || answers));
      }
    });
    assertEquals([world.session.clientAt, world.session.exitAt], [clientAt, exitAt]);
  }));
});

Deno.test("nothing beyond a message's length is read", () => {
  const session = new RelayedSession<Endpoint>(new Mac1Checker(), { clientKey, exitKey });
  const packet = initiationFor(exitKey, 1);
  const slab = new Slab(packet.length);
  slab.bytes.set(packet);
  for (let length = 0; length <= packet.length; length++) session.take(slab, 0, length, stranger, 0);
});
