import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { startTracker, TestPeer, type TestTracker, type TestTrackerOptions } from "../edge/fixtures/tracker.ts";
import { CulvertError } from "../protocol/errors.ts";
import { portablePrimitives as primitives } from "../protocol/primitives.ts";
import type { ListedPeer, PeerEvent } from "../protocol/tracker/messages.ts";
import { FakeClock, settle } from "../testing/fake_clock.ts";
import { HttpCallError } from "./signed_http.ts";
import { TrackerClient, type TrackerClientOptions } from "./tracker_client.ts";

/** Trackers by host, and what is wrong with each at present. */
class Trackers implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly byHost = new Map<string, TestTracker>();
  readonly trouble = new Map<string, (request: Request) => Promise<Response>>();
  readonly asked: string[] = [];

  static async start(hosts: readonly string[], options: TestTrackerOptions = {}): Promise<Trackers> {
    const trackers = new Trackers();
    for (const host of hosts) trackers.byHost.set(host, await startTracker({ ...options, clock: trackers.clock }));
    return trackers;
  }

  readonly fetch = async (request: Request): Promise<Response> => {
    const { host, pathname } = new URL(request.url);
    this.asked.push(`${host}${pathname}`);
    const trouble = this.trouble.get(host);
    const response = await (trouble ? trouble(request) : this.byHost.get(host)!.fetch(request, "192.0.2.1"));
    // As a connection would be, the answer is gone when the request is given up.
    return new Response(response.body?.pipeThrough(new TransformStream(), { signal: request.signal }), response);
  };

  client(peer: TestPeer, overrides: Partial<TrackerClientOptions> = {}): TrackerClient {
    return new TrackerClient({
      trackers: [...this.byHost.keys()].map((host) => new URL(`https://${host}/`)),
      signer: peer.identity,
      clock: this.clock,
      random: peer.random,
      primitives,
      fetch: this.fetch,
      describe: () => peer.card(),
      ...overrides,
    });
  }

  count(what: string): number {
    return this.asked.filter((asked) => asked === what).length;
  }

  idsAt(host: string): string[] {
    return this.byHost.get(host)!.store.peers.page({}).peers.map(({ peerId }) => peerId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const tracker of this.byHost.values()) await tracker[Symbol.asyncDispose]();
  }
}

/** Lets what can happen without time happen, until it holds. */
async function until(what: string, holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 2000 && !holds(); turn++) await settle();
  assert(holds(), what);
}

const refuseConnection = () => Promise.reject(new TypeError("connection refused"));
const [one, two, three] = [new TestPeer(1), new TestPeer(2), new TestPeer(3)];

Deno.test("a peer is listed at every tracker while it lives, is told of others, and says good-bye", async () => {
  await using trackers = await Trackers.start(["a.example", "b.example"]);
  await two.register(trackers.byHost.get("a.example")!);
  const named: ListedPeer[] = [];
  {
    await using client = trackers.client(one, {
      onPeers: (peers) => named.push(...peers),
      state: () => ({ load: 0.5 }),
    });
    await until("both list it", () => client.trackers.every(({ isListed }) => isListed));
    assertEquals(client.trackers[0]!.observedAddress, "192.0.2.1");
    assertEquals(named.map(({ card }) => card.peerId), [two.id]);
    for (let turn = 0; turn < 8; turn++) {
      await trackers.clock.advanceAsync(60_000);
      await until("heartbeats are answered", () => trackers.count("b.example/api/peers/heartbeat") > turn);
    }
    assertEquals(trackers.count("a.example/api/peers/register"), 1);
    assertEquals([trackers.idsAt("a.example"), trackers.idsAt("b.example")], [[one.id], [one.id]]);
    assertEquals(trackers.byHost.get("b.example")!.store.peers.find(one.id)!.load, 0.5);
  }
  assertEquals([trackers.idsAt("a.example"), trackers.idsAt("b.example")], [[], []]);
});

Deno.test("a tracker that has forgotten a peer is told again at once, by itself", async () => {
  await using trackers = await Trackers.start(["a.example"]);
  await using client = trackers.client(one);
  await until("it is listed", () => client.trackers[0]!.isListed);
  await trackers.byHost.get("a.example")![Symbol.asyncDispose]();
  trackers.byHost.set("a.example", await startTracker({ clock: trackers.clock }));
  assertEquals(trackers.idsAt("a.example"), []);
  await trackers.clock.advanceAsync(60_000);
  await trackers.clock.runUntil(until("it is listed again", () => trackers.idsAt("a.example").length === 1));
  assertEquals(client.trackers[0]!.isListed, true);
});

Deno.test("a tracker that is gone is asked less and less, and changes nothing at the others", async () => {
  await using trackers = await Trackers.start(["a.example", "b.example"]);
  trackers.trouble.set("a.example", refuseConnection);
  await using client = trackers.client(one);
  await until("the other lists it", () => client.trackers[1]!.isListed);
  for (let turn = 0; turn < 60; turn++) await trackers.clock.advanceAsync(10_000);
  const tries = trackers.count("a.example/api/peers/register");
  assert(tries >= 8 && tries <= 60, `${tries}`);
  assert(client.trackers[0]!.problem!.includes("connection refused"));
  assertEquals((await client.list()).peers.map(({ card }) => card.peerId), [one.id]);
  trackers.trouble.clear();
  for (let turn = 0; turn < 7; turn++) await trackers.clock.advanceAsync(10_000);
  await until("it is listed there too", () => client.trackers[0]!.isListed);
});

for (
  const [what, headers, body] of [
    ["in its problem", {}, {
      type: "/",
      title: "",
      status: 429,
      code: "rate_limited",
      detail: "",
      retryAfterMs: 45_000,
    }],
    ["by Retry-After", { "retry-after": "45" }, {}],
  ] as const
) {
  Deno.test(`a tracker that asks for patience ${what} is given it`, async () => {
    await using trackers = await Trackers.start(["a.example"]);
    trackers.trouble.set(
      "a.example",
      () => Promise.resolve(new Response(JSON.stringify(body), { status: 429, headers })),
    );
    await using client = trackers.client(one);
    await until("it is refused", () => client.trackers[0]!.problem !== undefined);
    trackers.trouble.clear();
    await trackers.clock.advanceAsync(44_900);
    assertEquals(trackers.count("a.example/api/peers/register"), 1);
    await trackers.clock.advanceAsync(200);
    await until("it is listed", () => client.trackers[0]!.isListed);
  });
}

Deno.test("a card that has changed is told soon, however often it changes", async () => {
  await using trackers = await Trackers.start(["a.example"]);
  let label = "first";
  await using client = trackers.client(one, { describe: () => one.card({ label }) });
  await until("it is listed", () => client.trackers[0]!.isListed);
  for (let turn = 0; turn < 100; turn++) {
    label = `name ${turn}`;
    client.refresh();
    await trackers.clock.advanceAsync(10);
  }
  await trackers.clock.advanceAsync(1000);
  await until("the card is told", () => {
    return trackers.byHost.get("a.example")!.store.peers.find(one.id)!.card.includes("name 99");
  });
  assert(trackers.count("a.example/api/peers/register") <= 4);
});

Deno.test("a card that changes while a tracker is down is told when it is back", async () => {
  await using trackers = await Trackers.start(["a.example"]);
  let label = "before";
  await using client = trackers.client(one, { describe: () => one.card({ label }) });
  await until("it is listed", () => client.trackers[0]!.isListed);
  trackers.trouble.set("a.example", refuseConnection);
  label = "after";
  client.refresh();
  await trackers.clock.advanceAsync(2000);
  await until("it has failed", () => client.trackers[0]!.problem !== undefined);
  trackers.trouble.clear();
  for (let turn = 0; turn < 10; turn++) await trackers.clock.advanceAsync(1000);
  await until("the card is told", () => {
    return trackers.byHost.get("a.example")!.store.peers.find(one.id)!.card.includes("after");
  });
});

Deno.test("what several trackers list is put together, page by page, each peer once by its newest card", async () => {
  await using trackers = await Trackers.start(["a.example", "b.example"]);
  const peers = Array.from({ length: 30 }, (_, seed) => new TestPeer(100 + seed));
  const hosts = [...trackers.byHost.values()];
  for (const [at, peer] of peers.entries()) {
    if (at % 3 !== 1) await peer.register(hosts[0]!);
    if (at % 3 !== 0) {
      await peer.register(hosts[1]!, { card: peer.card({ label: "newer", issuedAtMs: 1_790_000_000_001 }) });
    }
  }
  await using client = trackers.client(one, { describe: undefined });
  const ids: string[] = [];
  const labels = new Set<string>();
  let after: string | undefined;
  for (;;) {
    const page = await client.list({ limit: 7, ...after !== undefined && { after } });
    ids.push(...page.peers.map(({ card }) => card.peerId));
    for (const { card } of page.peers) {
      if (peers.findIndex(({ id }) => id === card.peerId) % 3 === 2) labels.add(card.label);
    }
    after = page.next;
    if (after === undefined) break;
  }
  assertEquals(ids, peers.map(({ id }) => id).sort());
  assertEquals([...labels], ["newer"]);
  assertEquals((await client.find(peers[2]!.id))!.card.label, "newer");
  assertEquals(await client.find(one.id), undefined);
  assertEquals((await client.status()).peers > 0, true);
  trackers.trouble.set("a.example", refuseConnection);
  assertEquals((await client.find(peers[1]!.id))!.card.label, "newer");
  trackers.trouble.set("b.example", refuseConnection);
  await assertRejects(() => client.find(peers[1]!.id), HttpCallError, "connection refused");
  await assertRejects(() => client.list(), HttpCallError);
});

Deno.test("a tracker whose pages lead back or nowhere ends no listing, and keeps none from its end", async () => {
  await using trackers = await Trackers.start(["a.example", "b.example"]);
  const ids = [one, two, three].map(({ id }) => id).sort();
  for (const peer of [one, two, three]) await peer.register(trackers.byHost.get("b.example")!);
  await using client = trackers.client(one, { describe: undefined });
  for (const next of [ids[0]!, ids[1]!]) {
    trackers.trouble.set("a.example", () => {
      const peers = [one, two, three].map((peer) => ({ card: peer.card(), seenAtMs: 1 }));
      return Promise.resolve(Response.json({ peers, next }));
    });
    const listed: string[] = [];
    let after: string | undefined;
    for (let turn = 0; turn < 10; turn++) {
      const page = await client.list({ limit: 2, ...after !== undefined && { after } });
      listed.push(...page.peers.map(({ card }) => card.peerId));
      after = page.next;
      if (after === undefined) break;
    }
    assertEquals([after, listed], [undefined, ids]);
  }
});

Deno.test("a card that its peer has not signed is not given out, whatever a tracker says", async () => {
  await using trackers = await Trackers.start(["a.example"]);
  const lie = { card: { ...two.card(), addresses: ["203.0.113.66:1"] }, seenAtMs: 1 };
  const answers: Record<string, unknown> = {
    "/api/peers/list": { peers: [lie, { card: three.card(), seenAtMs: 1 }] },
    [`/api/peers/${two.id}`]: lie,
    [`/api/peers/${one.id}`]: { card: two.card(), seenAtMs: 1 },
  };
  trackers.trouble.set("a.example", ({ url }) => Promise.resolve(Response.json(answers[new URL(url).pathname])));
  await using client = trackers.client(one, { describe: undefined });
  assertEquals((await client.list()).peers.map(({ card }) => card.peerId), [three.id]);
  assertEquals(await client.find(two.id), undefined);
  assertEquals(await client.find(one.id), undefined, "another than was asked for");
});

Deno.test("events of all trackers are heard, and again after a connection was lost", async () => {
  await using trackers = await Trackers.start(["a.example", "b.example"]);
  const events: PeerEvent[] = [];
  let gaps = 0;
  await using client = trackers.client(one, { describe: undefined });
  const following = client.follow({ region: "eu" }, (event) => events.push(event), () => gaps++);
  await until("both are heard", () => gaps === 2);
  const [a, b] = [...trackers.byHost.values()] as [TestTracker, TestTracker];
  await two.register(a);
  await three.register(b, { card: three.card({ region: "us" }) });
  await three.register(b);
  await until("both are told", () => events.length === 2);
  assertEquals(events.map((event) => event.type), ["joined", "changed"]);
  a.app[Symbol.dispose]();
  trackers.byHost.set("a.example", await startTracker({ clock: trackers.clock }));
  for (let turn = 0; turn < 10 && gaps < 3; turn++) await trackers.clock.advanceAsync(1000);
  assertEquals(gaps, 3);
  await two.register(trackers.byHost.get("a.example")!);
  await until("it is told", () => events.length === 3);
  following[Symbol.dispose]();
  await two.send(trackers.byHost.get("a.example")!, "unregister");
  await settle();
  assertEquals(events.length, 3, "nobody listens any more");
  await a.store[Symbol.asyncDispose]();
});

Deno.test("reports reach the trackers where a peer is listed, and one that is down is no matter", async () => {
  await using trackers = await Trackers.start(["a.example", "b.example"]);
  const peers = [one, two, three];
  const about = new TestPeer(9);
  for (const tracker of trackers.byHost.values()) await about.register(tracker);
  const clients = peers.map((peer) => trackers.client(peer));
  await until("all are listed", () => clients.every(({ trackers }) => trackers.every(({ isListed }) => isListed)));
  trackers.trouble.set("b.example", refuseConnection);
  for (const client of clients) await client.report({ about: about.id, outcome: "ok", bytes: 1, ms: 1 });
  assertEquals((await clients[0]!.find(about.id))!.reliability, 1);
  for (const client of clients) await client[Symbol.asyncDispose]();
});

Deno.test("a closed tracker lets in who has the token, and answers those it lists", async () => {
  await using trackers = await Trackers.start(["a.example"], { joinToken: "open sesame" });
  await using stranger = trackers.client(two);
  await until("the stranger is refused", () => stranger.trackers[0]!.problem !== undefined);
  await assertRejects(() => stranger.list(), HttpCallError, "unauthorized");
  await using client = trackers.client(one, { joinToken: "open sesame" });
  await until("it is listed", () => client.trackers[0]!.isListed);
  assertEquals((await client.list()).peers.length, 1);
});

Deno.test("a client must have a tracker", () => {
  const trackers = new Trackers();
  assertThrows(() => trackers.client(one), CulvertError, "trackers must name at least one");
});
