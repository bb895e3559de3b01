import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { openKv } from "../kv/open.ts";
import { CulvertError } from "../protocol/errors.ts";
import { signRequest } from "../protocol/http_signature.ts";
import type { PeerCard } from "../protocol/peers/card.ts";
import { portablePrimitives as primitives } from "../protocol/primitives.ts";
import { DenyList, parseDenyList } from "../protocol/tracker/deny_list.ts";
import {
  listedPeerSchema,
  peerPageSchema,
  type Register,
  registerAnswerSchema,
  relayStatusSchema,
} from "../protocol/tracker/messages.ts";
import { makeToken } from "../protocol/tracker/token.ts";
import { SeededRandom } from "../testing/seeded_random.ts";
import { LogCollector } from "../testing/log_collector.ts";
import { eventually } from "../testing/waiting.ts";
import { answerOf } from "./fixtures/directory.ts";
import { ask, startTracker, TestDeny, TestPeer, type TestTracker, TRACKER_URL } from "./fixtures/tracker.ts";
import { trackerLimits } from "./tracker/limits.ts";

const [one, two, three] = [new TestPeer(1), new TestPeer(2), new TestPeer(3)];

/** The same in memory and in Deno KV. */
function testOnEach(name: string, run: (tracker: TestTracker) => Promise<void>): void {
  Deno.test(`${name} (memory)`, async () => {
    await using tracker = await startTracker();
    await run(tracker);
  });
  Deno.test(`${name} (KV)`, async () => {
    using kv = await openKv(":memory:");
    await using tracker = await startTracker({ kv });
    await run(tracker);
  });
}

async function listed(tracker: TestTracker, query = ""): Promise<string[]> {
  const { status, body } = await ask(tracker, `/api/peers/list${query}`);
  assertEquals(status, 200);
  return peerPageSchema.parse(body).peers.map(({ card }) => card.peerId);
}

testOnEach("a peer registers, is introduced to others, stays while it is heard of, and leaves", async (tracker) => {
  const { clock } = tracker;
  const first = registerAnswerSchema.parse((await one.register(tracker, { load: 0.5 })).body);
  assertEquals([first.intervalMs, first.ttlMs, first.observedAddress], [60_000, 180_000, "192.0.2.1"]);
  assertEquals(first.peers, []);
  const second = registerAnswerSchema.parse((await two.register(tracker, {}, "::ffff:198.51.100.7")).body);
  assertEquals(second.observedAddress, "198.51.100.7");
  const expected = { card: one.card(), observedAddress: "192.0.2.1", seenAtMs: clock.wallNow(), load: 0.5 };
  assertEquals(second.peers, [expected]);
  assertEquals((await three.register(tracker, { numwant: 0 })).body.peers, []);
  for (let turn = 0; turn < 4; turn++) {
    await clock.advanceAsync(60_000);
    assertEquals((await one.heartbeat(tracker)).body, { intervalMs: 60_000 });
    assertEquals((await two.heartbeat(tracker, { left: 7 })).status, 200);
  }
  assertEquals(await listed(tracker), [one.id, two.id].sort());
  const found = listedPeerSchema.parse((await ask(tracker, `/api/peers/${two.id}`)).body);
  assertEquals([found.card, found.left, found.seenAtMs], [two.card(), 7, clock.wallNow()]);
  assertEquals((await two.send(tracker, "unregister")).body, {});
  assertEquals(await listed(tracker), [one.id]);
  assertEquals((await two.heartbeat(tracker)).body.code, "not_found");
  assertEquals((await ask(tracker, `/api/peers/${two.id}`)).status, 404);
  assertEquals((await three.heartbeat(tracker)).body.code, "not_found", "who was silent registers again");
});

testOnEach("peers are listed by region and capability, page by page", async (tracker) => {
  const peers = Array.from({ length: 12 }, (_, seed) => new TestPeer(100 + seed));
  for (const [at, peer] of peers.entries()) {
    const card = peer.card({ region: at % 2 ? "eu" : "us", capabilities: at % 3 ? ["files"] : ["files", "relay"] });
    assertEquals((await peer.register(tracker, { card })).status, 201);
  }
  const ids = peers.map(({ id }) => id);
  assertEquals(await listed(tracker), ids.toSorted());
  assertEquals(await listed(tracker, "?region=eu&capability=relay"), [ids[3]!, ids[9]!].sort());
  const pages: string[] = [];
  for (let after: string | undefined = "";;) {
    const { body } = await ask(tracker, `/api/peers/list?limit=5${after && `&after=${after}`}`);
    const page = peerPageSchema.parse(body);
    pages.push(...page.peers.map(({ card }) => card.peerId));
    after = page.next;
    if (after === undefined) break;
  }
  assertEquals(pages, ids.toSorted());
  const status = relayStatusSchema.parse((await ask(tracker, "/api/relay/status")).body);
  assertEquals([status.peers, status.relays, status.closed], [12, 4, false]);
  for (const bad of ["?limit=51", "?limit=0", "?after=x", "?region=EU", "?limit=a"]) {
    assertEquals((await ask(tracker, `/api/peers/list${bad}`)).body.code, "bad_request", bad);
  }
});

const wrong: readonly (readonly [what: string, body: () => Partial<Register>, code: string])[] = [
  ["another's card", () => ({ card: two.card() }), "wrong_peer"],
  ["a card with another's id", () => ({ card: { ...one.card(), peerId: two.id } }), "wrong_peer"],
  ["another's key", () => ({ card: { ...one.card(), publicKey: two.card().publicKey } }), "wrong_peer"],
  ["a changed address", () => ({ card: { ...one.card(), addresses: ["203.0.113.9:1"] } }), "bad_signature"],
  ["another's sealing key", () => ({ card: { ...one.card(), sealingKey: two.card().sealingKey } }), "bad_binding"],
  ["no card", () => ({ card: {} as PeerCard }), "bad_request"],
  ["too many wanted", () => ({ numwant: 51 }), "bad_request"],
  [
    "a card that is too long",
    () => ({
      card: one.card({
        addresses: Array.from({ length: 8 }, () => `${"a".repeat(250)}:65535`),
        relays: Array.from({ length: 4 }, () => ({ relayId: two.id, url: `https://${"b".repeat(500)}` })),
      }),
    }),
    "too_large",
  ],
];
for (const [what, body, code] of wrong) {
  Deno.test(`a registration is refused with ${code}: ${what}`, async () => {
    await using tracker = await startTracker();
    const answer = await one.register(tracker, body());
    assertEquals(answer.body.code, code);
    assertEquals(tracker.store.peers.size, 0);
  });
}

testOnEach("a registration counts once, at the tracker it was signed for, while it is fresh", async (tracker) => {
  const { clock } = tracker;
  const request = () => one.request("/api/peers/register", { card: one.card() }, clock.wallNow());
  const signed = request();
  const again = signed.clone();
  assertEquals((await tracker.fetch(signed)).status, 201);
  assertEquals((await answerOf(await tracker.fetch(again))).body.code, "replayed");
  const elsewhere = new Request(request().url.replace("base", "other"), request());
  assertEquals((await answerOf(await tracker.fetch(elsewhere))).body.code, "bad_signature");
  const late = request();
  clock.advance(61_001);
  assertEquals((await answerOf(await tracker.fetch(late))).body.code, "stale");
  const changed = new Request(`${TRACKER_URL}/api/peers/register`, {
    method: "POST",
    headers: request().headers,
    body: JSON.stringify({ card: one.card(), numwant: 1 }),
  });
  assertEquals((await answerOf(await tracker.fetch(changed))).body.code, "bad_digest");
  const unsigned = new Request(`${TRACKER_URL}/api/peers/register`, { method: "POST", body: "{}" });
  assertEquals((await answerOf(await tracker.fetch(unsigned))).body.code, "unsigned");
});

testOnEach("a token is good for its own peer, and only the last one", async (tracker) => {
  await one.register(tracker);
  await two.register(tracker);
  const mixed = one.id + two.token.slice(26);
  for (const token of ["", "x", mixed, `${one.token}A`, "a".repeat(48)]) {
    for (const path of ["heartbeat", "unregister"]) {
      const { status } = await one.send(tracker, path, undefined, token);
      assert(status === 401 || status === 404, `${path} ${token}`);
    }
  }
  const before = one.token;
  await one.register(tracker);
  assertEquals((await one.send(tracker, "heartbeat", {}, before)).status, 401);
  assertEquals((await one.heartbeat(tracker)).status, 200);
  assertEquals(tracker.store.peers.size, 2);
});

Deno.test("what a heartbeat says must be as the API has it", async () => {
  await using tracker = await startTracker();
  await one.register(tracker);
  for (const body of [{ load: 2 }, { left: -1 }, { load: "x" }, []]) {
    assertEquals((await one.send(tracker, "heartbeat", body)).body.code, "bad_request");
  }
  assertEquals((await one.send(tracker, "heartbeat", { load: 1, other: "x".repeat(2000) })).body.code, "too_large");
  assertEquals((await one.send(tracker, "heartbeat", {})).status, 200);
});

Deno.test("where a token is needed to join, nobody else joins, and only those who joined may ask", async () => {
  await using tracker = await startTracker({ joinToken: "open sesame" });
  for (const joinToken of [undefined, "open sesam", "open sesame "]) {
    const changes = joinToken === undefined ? {} : { joinToken };
    assertEquals((await one.register(tracker, changes)).body.code, "unauthorized");
  }
  assertEquals((await one.register(tracker, { joinToken: "open sesame" })).status, 201);
  for (const path of ["/api/peers/list", `/api/peers/${one.id}`, "/api/peers/events"]) {
    assertEquals((await ask(tracker, path)).status, 401);
    assertEquals((await ask(tracker, path, two.id + one.token.slice(26))).status, 401);
  }
  assertEquals((await ask(tracker, "/api/peers/list", one.token)).status, 200);
  assertEquals((await ask(tracker, "/api/relay/status")).body.closed, true);
});

testOnEach("who is on the deny list is neither heard nor listed, from then on and until it is off", async (tracker) => {
  await one.register(tracker);
  await two.register(tracker);
  tracker.deny.set(parseDenyList(`${one.id}\n203.0.113.0/24`));
  await eventually("the peer is gone", () => tracker.store.peers.size === 1);
  assertEquals(await listed(tracker), [two.id]);
  assertEquals((await one.register(tracker)).body.code, "blocked");
  assertEquals((await one.heartbeat(tracker)).body.code, "blocked");
  for (const address of ["203.0.113.9", "::ffff:203.0.113.9"]) {
    assertEquals((await three.register(tracker, {}, address)).body.code, "blocked");
  }
  tracker.deny.set(new DenyList());
  assertEquals((await one.register(tracker)).status, 201);
});

Deno.test("who is on the deny list is not listed because the store, or another process on it, knows them", async () => {
  using kv = await openKv(":memory:");
  await using other = await startTracker({ kv });
  await one.register(other);
  const deny = new TestDeny();
  deny.set(parseDenyList(`${one.id}\n${two.id}`));
  await using tracker = await startTracker({ kv, deny, seed: 2, clock: other.clock });
  await eventually("one is gone", () => tracker.store.peers.size === 0);
  await two.register(other);
  await three.register(other);
  await eventually("three is there, and two is not", async () => (await listed(tracker)).join() === three.id);
});

Deno.test("who asks too often is told when to come again: an address, and a peer", async () => {
  await using tracker = await startTracker({ limits: trackerLimits(new SeededRandom(1), 10) });
  const from = (remoteAddress: string) =>
    tracker.fetch(new Request(`${TRACKER_URL}/api/relay/status`), remoteAddress).then(answerOf);
  for (let turn = 0; turn < 50; turn++) assertEquals((await from("192.0.2.9")).status, 200);
  const refused = await from("192.0.2.9");
  assertEquals([refused.status, refused.body.code, refused.headers.get("retry-after")], [429, "rate_limited", "1"]);
  assertEquals((await from("192.0.2.10")).status, 200);
  tracker.clock.advance(1000);
  assertEquals((await from("192.0.2.9")).status, 200);

  await using other = await startTracker();
  await one.register(other);
  await two.register(other);
  let beats = 0;
  while ((await one.heartbeat(other)).status === 200) beats++;
  assert(beats >= 15 && beats <= 20, `${beats}`);
  assertEquals((await two.heartbeat(other)).status, 200);
});

Deno.test("wrong tokens that name a peer keep it from nothing", async () => {
  await using tracker = await startTracker();
  await one.register(tracker);
  const random = new SeededRandom(7);
  for (let turn = 0; turn < 100; turn++) {
    const wrong = makeToken(one.id, random);
    assertEquals((await one.send(tracker, "heartbeat", {}, wrong)).status, 401);
  }
  assertEquals((await one.heartbeat(tracker)).status, 200);
  assertEquals((await one.register(tracker)).status, 201);
});

testOnEach("what three peers say of another is told with it, and nobody speaks of itself", async (tracker) => {
  const peers = [one, two, three, new TestPeer(4)];
  for (const peer of peers) await peer.register(tracker);
  const about = { about: one.id, outcome: "ok", bytes: 125_000_000, ms: 1000 };
  assertEquals((await one.send(tracker, "report", about)).body.code, "bad_request");
  for (const peer of peers.slice(1, 3)) assertEquals((await peer.send(tracker, "report", about)).body, {});
  assertEquals((await ask(tracker, `/api/peers/${one.id}`)).body.reliability, undefined);
  assertEquals((await peers[3]!.send(tracker, "report", { ...about, outcome: "lied" })).status, 200);
  const { reliability, bandwidthMbps } = (await ask(tracker, `/api/peers/${one.id}`)).body;
  assertEquals([reliability, bandwidthMbps], [0.667, undefined]);
  assertEquals((await two.send(tracker, "report", { about: one.id })).body.code, "bad_request");
  assertEquals((await two.send(tracker, "report", { ...about, about: new TestPeer(9).id })).status, 200);
});

Deno.test("when as many are listed as may be, others are told to come later", async () => {
  await using tracker = await startTracker({ maxPeers: 1 });
  await one.register(tracker);
  const { status, body, headers } = await two.register(tracker);
  assertEquals([status, body.code, headers.get("retry-after")], [503, "busy", "60"]);
  assertEquals((await one.heartbeat(tracker)).status, 200);
});

Deno.test("a store that fails is told as that, and what went wrong stays in the log", async () => {
  const log = new LogCollector();
  await using tracker = await startTracker({ log });
  await one.register(tracker);
  for (const [code, told] of [["store_locked", "unavailable"], ["surprise", "internal"]] as const) {
    tracker.store.heartbeat = () => Promise.reject(new CulvertError(code, "a secret of the store"));
    const { body } = await one.heartbeat(tracker);
    assertEquals([body.code, JSON.stringify(body).includes("secret")], [told, false]);
    assertEquals(log.lines.at(-1)!.fields.error, "a secret of the store");
  }
});

Deno.test("the tracker goes by its own names only, when it has some", async () => {
  await using tracker = await startTracker({ authorities: ["tracker.example"] });
  assertEquals((await one.register(tracker)).body.code, "misdirected");
});

Deno.test("a heartbeat that is handed in as it came is answered as a request would be", async () => {
  await using tracker = await startTracker();
  await one.register(tracker);
  const beat = (token: string | undefined, body = "") =>
    tracker.app.heartbeat({ token, body: new TextEncoder().encode(body), host: () => "base.example" }, {
      remoteAddress: "192.0.2.1",
    });
  assertEquals(await beat(one.token), `{"intervalMs":60000}`);
  assertEquals(await beat(one.token, `{"load":0.25}`), `{"intervalMs":60000}`);
  assertEquals(tracker.store.peers.find(one.id)!.load, 0.25);
  for (
    const [token, body, status] of [[undefined, "", 401], [one.token, "x", 400], [
      one.token,
      " ".repeat(2000),
      413,
    ]] as const
  ) {
    assertEquals((await beat(token, body) as Response).status, status);
  }
  const metrics = await tracker.metrics.text();
  assertStringIncludes(metrics, `tracker_requests_total{operation="heartbeat",result="ok"} 2`);
  assertStringIncludes(metrics, "tracker_peers 1");
});

Deno.test("other addresses and methods are refused, and say what is there", async () => {
  await using tracker = await startTracker();
  assertEquals((await ask(tracker, "/api/nothing")).body.code, "not_found");
  const { body, headers } = await ask(tracker, "/api/peers/register");
  assertEquals([body.code, headers.get("allow")], ["wrong_method", "POST"]);
  const put = await tracker.fetch(new Request(`${TRACKER_URL}/api/peers/heartbeat`, { method: "PUT" }));
  assertEquals((await answerOf(put)).body.code, "wrong_method");
});

Deno.test("a stream of events has no head alone: who asks for that holds no listener's place", async () => {
  await using tracker = await startTracker({ maxListeners: 1 });
  const url = `${TRACKER_URL}/api/peers/events`;
  const head = await tracker.fetch(new Request(url, { method: "HEAD" }));
  assertEquals([head.status, head.headers.get("allow")], [405, "GET"]);
  const stream = await tracker.fetch(new Request(url));
  assertEquals(stream.status, 200);
  await stream.body!.cancel();
});

Deno.test("the API describes itself, with every operation and every schema", async () => {
  await using tracker = await startTracker();
  const { body } = await ask(tracker, "/openapi.json");
  const paths = body.paths as Record<string, Record<string, { parameters?: { in: string }[] }>>;
  assertEquals(Object.keys(paths).length, 8);
  assertEquals(paths["/api/peers/{id}"]!.get!.parameters!.map((one) => one.in), ["path"]);
  const page = await tracker.fetch(new Request(`${TRACKER_URL}/`));
  assertStringIncludes(await page.text(), "/api/peers/heartbeat");
  assertEquals(page.headers.get("x-content-type-options"), "nosniff");
});

Deno.test("whatever is sent, it is answered with a status and nothing breaks", async () => {
  await using tracker = await startTracker();
  await one.register(tracker);
  const path = fc.constantFrom("register", "heartbeat", "unregister", "report", "list", "events", one.id);
  const token = fc.oneof(
    fc.constant(one.token),
    fc.string({ unit: fc.integer({ min: 33, max: 126 }).map((c) => String.fromCharCode(c)) }),
  );
  const body = fc.oneof(fc.string(), fc.json(), fc.constant(JSON.stringify({ card: one.card() })));
  const query = fc.string();
  await fc.assert(
    fc.asyncProperty(path, token, body, query, fc.boolean(), async (path, token, body, query, isSigned) => {
      tracker.clock.advance(1000);
      const url = `${TRACKER_URL}/api/peers/${path}?${encodeURIComponent(query)}`;
      const bytes = new TextEncoder().encode(body);
      const signing = { signer: one.identity, wallNowMs: tracker.clock.wallNow(), random: one.random, primitives };
      const headers = new Headers({ authorization: `Bearer ${token}`, "content-type": "application/json" });
      if (isSigned) {
        for (const [name, value] of Object.entries(signRequest({ method: "POST", url }, bytes, signing))) {
          headers.set(name, value);
        }
      }
      const response = await tracker.fetch(new Request(url, { method: "POST", headers, body: bytes }), "192.0.2.1");
      await response.body?.cancel();
      assert(response.status < 500, `${response.status}`);
    }),
    { numRuns: 200 },
  );
});
