import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  encodeCentralRefusal,
  MAX_MESSAGE_BYTES,
  parseUpstreamRefusal,
  type UpstreamRefusal,
} from "../protocol/fragment/messages.ts";
import { portablePrimitives as primitives } from "../protocol/primitives.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { SeededRandom } from "../testing/seeded_random.ts";
import {
  aliasOf,
  centralRecord,
  clientMessage,
  FakeChannel,
  FakeDials,
  FakeRelays,
  hopMessage,
} from "./fixtures/relays.ts";
import { createMetrics } from "./metrics.ts";
import { createUpstream } from "./upstream.ts";
import { type UpstreamLimits, UpstreamRelay } from "./upstream/relay.ts";

const ADDRESS = "192.0.2.1";
const rest = Uint8Array.of(9, 8, 7);
const central = centralRecord();
const to = { central: central.relayId, alias: aliasOf(1), rest };

class World implements Disposable {
  readonly clock = new FakeClock();
  readonly relays = new FakeRelays();
  readonly dials = new FakeDials();
  readonly metrics = createMetrics();
  readonly relay: UpstreamRelay;
  readonly app;

  constructor(limits?: UpstreamLimits, token?: string) {
    this.relays.records.push(central);
    const { clock, relays, dials, metrics } = this;
    this.relay = new UpstreamRelay({
      clock,
      relays,
      dialHop: dials.dial,
      random: new SeededRandom(1),
      metrics,
      limits: limits ?? {},
    });
    this.app = createUpstream({
      relay: this.relay,
      version: "0.1.0",
      primitives,
      token,
      upgrade: () => {
        throw new Error("no WebSockets here");
      },
    });
  }

  join(address = ADDRESS): FakeChannel {
    const channel = new FakeChannel();
    this.relay.join(channel, address);
    return channel;
  }

  async post(body: Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}): Promise<Response> {
    const request = new Request("http://up.example/v1/fragments", { method: "POST", body, headers });
    return await this.app.fetch(request, { remoteAddress: ADDRESS });
  }

  settle(): Promise<void> {
    return this.clock.advanceAsync(0);
  }

  [Symbol.dispose](): void {
    this.relay[Symbol.dispose]();
  }
}

function refusals(channel: FakeChannel): (UpstreamRefusal | undefined)[] {
  return channel.sent.map((message) => parseUpstreamRefusal(message)?.code);
}

Deno.test("what clients send goes to the central they name, without the name, by one hop for all", async () => {
  using world = new World();
  const [one, other] = [world.join(), world.join()];
  one.receive(clientMessage(1, to));
  other.receive(clientMessage(2, { ...to, alias: aliasOf(2) }));
  await world.settle();
  one.receive(clientMessage(2, to));
  assertEquals(world.dials.dialled, [central.relayId]);
  assertEquals(world.dials.hops[0]!.sent, [
    hopMessage(1, aliasOf(1), rest),
    hopMessage(2, aliasOf(2), rest),
    hopMessage(2, aliasOf(1), rest),
  ]);
});

Deno.test("a central that is not in the directory is not connected to, once base has been asked", async () => {
  using world = new World();
  const stranger = centralRecord(2);
  const client = world.join();
  client.receive(clientMessage(1, { ...to, central: stranger.relayId }));
  await world.settle();
  assertEquals(refusals(client), ["no_such_central"]);
  assertEquals([world.relays.refreshes, world.dials.dialled], [1, []]);
});

Deno.test("a central that base lists only now is found", async () => {
  using world = new World();
  const fresh = centralRecord(2);
  world.relays.late = [fresh];
  world.join().receive(clientMessage(1, { ...to, central: fresh.relayId }));
  await world.settle();
  assertEquals(world.dials.dialled, [fresh.relayId]);
});

Deno.test("a central that base lists only now is found by the data of a session that another upstream opened", async () => {
  using world = new World();
  const fresh = centralRecord(2);
  world.relays.late = [fresh];
  const client = world.join();
  client.receive(clientMessage(2, { ...to, central: fresh.relayId }));
  assertEquals(refusals(client), ["no_such_central"]);
  await world.settle();
  client.receive(clientMessage(2, { ...to, central: fresh.relayId }));
  assertEquals(world.dials.dialled, [fresh.relayId]);
});

Deno.test("a central that leaves the directory is spoken to no more", async () => {
  using world = new World();
  const client = world.join();
  client.receive(clientMessage(1, to));
  await world.settle();
  world.relays.remove(central);
  assertEquals(world.dials.hops[0]!.isClosed, true);
  await world.clock.advanceAsync(100);
  client.receive(clientMessage(2, to));
  assertEquals(refusals(client).at(-1), "no_such_central");
});

Deno.test("a central that cannot be reached is down for a while, and then tried again", async () => {
  using world = new World();
  world.dials.isRefused = true;
  const client = world.join();
  client.receive(clientMessage(1, to));
  await world.settle();
  client.receive(clientMessage(2, to));
  assertEquals(refusals(client), ["central_down"]);
  world.dials.isRefused = false;
  await world.clock.advanceAsync(1000);
  client.receive(clientMessage(2, to));
  await world.settle();
  assertEquals(world.dials.hops[0]!.sent, [hopMessage(2, aliasOf(1), rest)]);
});

Deno.test("what a central refuses is told to whoever uses the alias, and to nobody else", async () => {
  using world = new World();
  const [one, other] = [world.join(), world.join()];
  one.receive(clientMessage(1, to));
  other.receive(clientMessage(1, { ...to, alias: aliasOf(2) }));
  await world.settle();
  world.dials.hops[0]!.handlers!.onMessage(encodeCentralRefusal({ alias: aliasOf(2), code: "unknown_alias" }));
  assertEquals([refusals(one), refusals(other)], [[], ["refused_by_central"]]);
});

Deno.test("of two clients with one alias the newest hears of it, and both are passed on", async () => {
  using world = new World();
  const [one, other] = [world.join(), world.join()];
  one.receive(clientMessage(2, to));
  other.receive(clientMessage(2, to));
  await world.settle();
  one.receive(clientMessage(2, to));
  world.dials.hops[0]!.handlers!.onMessage(encodeCentralRefusal({ alias: aliasOf(1), code: "unknown_alias" }));
  assertEquals([refusals(one), refusals(other)], [[], ["refused_by_central"]]);
  assertEquals(world.dials.hops[0]!.sent.length, 3);
});

Deno.test("a lost hop is told to those who used it", async () => {
  using world = new World();
  const client = world.join();
  client.receive(clientMessage(1, to));
  await world.settle();
  world.dials.hops[0]!.close();
  assertEquals(refusals(client), ["central_down"]);
});

Deno.test("a hop that is full drops, and says so, not more often than need be", async () => {
  using world = new World();
  const client = world.join();
  client.receive(clientMessage(1, to));
  await world.settle();
  world.dials.hops[0]!.isFull = true;
  for (let turn = 0; turn < 100; turn++) client.receive(clientMessage(2, to));
  assertEquals(refusals(client), ["busy"]);
});

Deno.test("while a hop is opened only so much waits for it", () => {
  using world = new World();
  world.relay[Symbol.dispose]();
  const dials = { dial: () => new Promise<void>(() => {}) };
  const { clock, relays } = world;
  using relay = new UpstreamRelay({ clock, relays, dialHop: dials.dial, random: new SeededRandom(1) });
  const channel = new FakeChannel();
  relay.join(channel, ADDRESS);
  const large = clientMessage(2, { ...to, rest: new Uint8Array(200_000) });
  for (let turn = 0; turn < 3; turn++) channel.receive(large);
  assertEquals(refusals(channel), ["busy"]);
});

Deno.test("nonsense ends the channel", () => {
  using world = new World();
  const client = world.join();
  client.receive(Uint8Array.of(7, 7, 7));
  assertEquals(client.closedWith, 4400);
  assertEquals(world.relay.clients, 0);
});

Deno.test("a session and an address send no more than they may", async () => {
  const rate = { perSecond: 1000, burst: 1000 };
  for (const limits of [{ session: rate }, { address: { bytes: rate } }]) {
    using world = new World(limits);
    const client = world.join();
    for (let turn = 0; turn < 6; turn++) {
      client.receive(clientMessage(2, { ...to, rest: new Uint8Array(1000) }));
      await world.settle();
    }
    assertEquals(world.dials.hops[0]!.sent.length, 3, JSON.stringify(limits));
    assertEquals(refusals(client), ["too_much"]);
  }
});

Deno.test("a post is passed on, or answered with what is wrong", async () => {
  using world = new World();
  assertEquals((await world.post(clientMessage(1, to))).status, 202);
  await world.settle();
  assertEquals(world.dials.hops[0]!.sent, [hopMessage(1, aliasOf(1), rest)]);
  const rows: [string, Uint8Array<ArrayBuffer>, number, string][] = [
    ["nonsense", new Uint8Array(3), 400, "bad_request"],
    ["too large", new Uint8Array(MAX_MESSAGE_BYTES + 1), 413, "too_large"],
    ["unknown", clientMessage(1, { ...to, central: centralRecord(3).relayId }), 404, "no_such_central"],
  ];
  for (const [name, body, status, code] of rows) {
    const response = await world.post(body);
    assertEquals([response.status, (await response.json()).code], [status, code], name);
  }
  world.dials.hops[0]!.isFull = true;
  const busy = await world.post(clientMessage(2, to));
  assertEquals([busy.status, (await busy.json()).code, busy.headers.get("retry-after")], [503, "busy", "1"]);
});

Deno.test("one who posts is told with the next what central has refused, until it opens anew", async () => {
  using world = new World();
  await world.post(clientMessage(1, to));
  await world.settle();
  world.dials.hops[0]!.handlers!.onMessage(encodeCentralRefusal({ alias: aliasOf(1), code: "unknown_alias" }));
  const refused = await world.post(clientMessage(2, to));
  assertEquals([refused.status, (await refused.json()).code], [409, "refused_by_central"]);
  assertEquals((await world.post(clientMessage(1, to))).status, 202);
});

Deno.test("who asks too often is told when to come again", async () => {
  using world = new World({ address: { attempts: { perSecond: 1, burst: 2 } } });
  await world.post(clientMessage(2, to));
  await world.post(clientMessage(2, to));
  const response = await world.post(clientMessage(2, to));
  assertEquals([response.status, (await response.json()).code], [429, "rate_limited"]);
  assertEquals(response.headers.get("retry-after"), "1");
});

Deno.test("only who knows the token is served, and a WebSocket is asked for where there is one", async () => {
  using world = new World({}, "secret");
  assertEquals((await world.post(clientMessage(2, to))).status, 401);
  assertEquals((await world.post(clientMessage(2, to), { authorization: "Bearer secret" })).status, 202);
  const plain = new Request("http://up.example/v1/fragments", { headers: { authorization: "Bearer secret" } });
  assertEquals((await world.app.fetch(plain, {})).status, 426);
  assertEquals((await world.app.request("/elsewhere", {}, {})).status, 404);
  assertStringIncludes(await world.metrics.text(), `upstream_refused_total{reason="unauthorized"} 1`);
});

Deno.test("whoever guesses tokens runs out of attempts", async () => {
  using world = new World({ address: { attempts: { perSecond: 1, burst: 2 } } }, "secret");
  const statuses = [];
  for (const guess of ["a", "b", "c"]) {
    statuses.push((await world.post(clientMessage(2, to), { authorization: `Bearer ${guess}` })).status);
  }
  assertEquals(statuses, [401, 401, 429]);
});

Deno.test("an upstream that drains takes nobody, says goodbye, and is full", async () => {
  using world = new World();
  const client = world.join();
  world.relay.drain();
  assertEquals(client.closedWith, 1001);
  assertEquals((await world.post(clientMessage(2, to))).status, 503);
  assertEquals(world.relay.load, 1);
});

Deno.test("everything that is refused is counted", async () => {
  using world = new World();
  world.join().receive(new Uint8Array(2));
  await world.post(clientMessage(1, { ...to, central: centralRecord(3).relayId }));
  await world.post(new Uint8Array(MAX_MESSAGE_BYTES + 1));
  const text = await world.metrics.text();
  for (const reason of ["bad_request", "no_such_central", "too_large"]) {
    assertEquals(text.includes(`upstream_refused_total{reason="${reason}"} 1`), true, reason);
  }
});
