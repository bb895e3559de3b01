import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { encodeBase64 } from "../../protocol/encoding.ts";
import type { PunchOffer } from "../../protocol/packets/punch_offer.ts";
import { parseEndpoint } from "../../protocol/wireguard/endpoint.ts";
import { CLIENT_KEY, EXIT, FakeDevice, PunchWorld, RELAY } from "./fixtures/punch_world.ts";

const client = { key: CLIENT_KEY, relayAt: RELAY };
const secret = encodeBase64(new Uint8Array(32));

function offer(number = 0, at: string[] = ["203.0.113.1:5000"]): PunchOffer {
  return { type: "punch.offer", id: `${number}`.padStart(22, "A"), secret, at };
}

Deno.test("an offer is answered with a secret and where the relay sees the exit", async () => {
  await using world = new PunchWorld();
  const answer = await world.clock.runUntil(world.responder.answer(offer(), client));
  assertEquals([answer.id, answer.grant?.at], [offer().id, [`${EXIT}:5000`]]);
});

Deno.test("what its keeper says comes first, what it is called behind its NAT is not said", async () => {
  const endpoint = parseEndpoint("198.51.100.77:777")!;
  await using world = new PunchWorld({ responder: { endpoint } });
  const answer = await world.clock.runUntil(world.responder.answer(offer(), client));
  assertEquals(answer.grant?.at, ["198.51.100.77:777", `${EXIT}:5000`]);
});

Deno.test("the same offer again has the same answer, another has another", async () => {
  await using world = new PunchWorld();
  const [first, again] = [world.responder.answer(offer(), client), world.responder.answer(offer(), client)];
  assert(first === again);
  const answer = await world.clock.runUntil(first);
  const other = await world.clock.runUntil(world.responder.answer(offer(1), client));
  assert(answer.grant && other.grant && answer.grant.secret !== other.grant.secret);
});

Deno.test("of offers that overtake each other the last one counts, and nothing is left of the others", async () => {
  await using world = new PunchWorld();
  const answers = [0, 1, 2].map((number) => world.responder.answer(offer(number), client));
  const granted = await world.clock.runUntil(Promise.all(answers));
  assertEquals(granted.map(({ grant }) => grant !== undefined), [false, false, true]);
  const leaving = world.responder.answer(offer(3), { ...client, key: new Uint8Array(32).fill(9) });
  world.responder.forget(new Uint8Array(32).fill(9));
  assertEquals((await world.clock.runUntil(leaving)).grant, undefined);
  await world.clock.advanceAsync(60_000);
  assertEquals(world.clock.pendingTimers, 0);
});

Deno.test("a client that offers too often is told to wait, and others are not", async () => {
  await using world = new PunchWorld();
  for (let number = 0; number < 3; number++) {
    assert((await world.clock.runUntil(world.responder.answer(offer(number), client))).grant);
  }
  const refused = await world.clock.runUntil(world.responder.answer(offer(9), client));
  assertEquals([refused.grant, refused.retryAfterMs], [undefined, 5_000]);
  const other = { ...client, key: new Uint8Array(32).fill(9) };
  assert((await world.clock.runUntil(world.responder.answer(offer(), other))).grant);
});

Deno.test("an offer makes it send a few datagrams to a few places, then none, and none where it must not", async () => {
  await using world = new PunchWorld();
  const places = Array.from({ length: 8 }, (_, at) => `192.0.2.9:${at + 1}`);
  await world.clock.runUntil(world.responder.answer(offer(0, places), client));
  await world.clock.advanceAsync(60_000);
  assertLessOrEqual(world.exitHost.sent, 80 + 3);
  const before = world.exitHost.sent;
  const closed = ["127.0.0.1:53", "10.0.0.1:53", "224.0.0.1:1", "169.254.169.254:80", "[::1]:1", "[fd00::1]:1"];
  await world.clock.runUntil(world.responder.answer(offer(1, closed), client));
  await world.clock.advanceAsync(60_000);
  assertLessOrEqual(world.exitHost.sent - before, 3, "questions to the relay alone");
});

Deno.test("without clients that are direct or about to be there is no timer and no traffic", async () => {
  await using world = new PunchWorld();
  await world.clock.runUntil(world.responder.answer(offer(), client));
  await world.clock.advanceAsync(60_000);
  assertEquals([world.clock.pendingTimers, world.responder.directClients], [0, 0]);
});

Deno.test("a client that is gone is forgotten at once, a silent one soon", async () => {
  await using world = new PunchWorld();
  world.run();
  await world.clock.advanceAsync(5_000);
  assertEquals(world.responder.directClients, 1);
  world.responder.forget(CLIENT_KEY);
  assertEquals(world.responder.directClients, 0);
  await world.clock.advanceAsync(120_000);
  assertEquals(world.responder.directClients, 1, "the client has offered again");
  world.stop.abort();
  await world.clock.advanceAsync(20_000);
  assertEquals([world.responder.directClients, world.clock.pendingTimers], [0, 0]);
});

Deno.test("where there can be no port, offers are refused and it is said once", async () => {
  const openPort = () => {
    throw new Error("Cannot share UDP port 5000: socket gave EPERM");
  };
  await using world = new PunchWorld({ responder: { openPort } });
  for (let number = 0; number < 3; number++) {
    const { grant } = await world.clock.runUntil(world.responder.answer(offer(number), client));
    assertEquals(grant, undefined);
  }
  assertEquals(world.log.lines.filter(({ level }) => level === "warn").length, 1);
});

Deno.test("where there could be no port once, there may be one later", async () => {
  const device = new FakeDevice();
  let asked = 0;
  const status = () => asked++ < 2 ? Promise.reject(new Error("The device is busy")) : FakeDevice.prototype.status();
  await using world = new PunchWorld({ responder: { device: Object.assign(device, { status }) } });
  for (const [atMs, isGranted, times] of [[0, false, 1], [10_000, false, 1], [30_000, false, 2], [60_000, true, 3]]) {
    await world.clock.advanceAsync(Number(atMs) - world.clock.now());
    const { grant } = await world.clock.runUntil(world.responder.answer(offer(Number(atMs)), client));
    assertEquals([grant !== undefined, asked], [isGranted, times]);
  }
  assertEquals(world.log.lines.filter(({ level }) => level === "warn").length, 1);
});

Deno.test("two behind one NAT are told what they are called there", async () => {
  await using world = new PunchWorld();
  world.exitHost.outside(RELAY);
  const answer = await world.clock.runUntil(world.responder.answer(offer(0, [`${EXIT}:6000`]), client));
  assertEquals(answer.grant?.at, [`${EXIT}:5000`], "here it is the same");
});
