import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import type { DirectoryStore } from "../kv/directory.ts";
import { openKv } from "../kv/open.ts";
import { encodeCertificate, issueCertificate } from "../protocol/certificate.ts";
import { AuthLimits } from "../protocol/control/auth_limits.ts";
import { CulvertError } from "../protocol/errors.ts";
import { portablePrimitives as primitives } from "../protocol/primitives.ts";
import { SeededRandom } from "../testing/seeded_random.ts";
import { type Answer, answerOf, Asker, type Base, BASE_URL, startBase, status } from "./fixtures/directory.ts";

const one = new Asker(1);
const two = new Asker(2);
const three = new Asker(3);

async function get(base: Base, path: string): Promise<Answer> {
  return await answerOf(await base.fetch(new Request(BASE_URL + path)));
}

async function register(base: Base, asker: Asker, overrides = {}): Promise<void> {
  assertEquals((await asker.post(base, "/v1/supernodes", asker.supernode(overrides))).status, 201);
}

function idsOf(answer: Answer): string[] {
  assertEquals(answer.status, 200, JSON.stringify(answer.body));
  return (answer.body.supernodes as { supernodeId: string }[]).map(({ supernodeId }) => supernodeId);
}

async function exits(base: Base, asker: Asker, wish: Record<string, unknown> = {}): Promise<string[]> {
  return idsOf(await asker.post(base, "/v1/exit-regions", wish));
}

function relayIds(answer: Answer): string[] {
  return (answer.body.relays as { relayId: string }[]).map(({ relayId }) => relayId);
}

/** The same in memory and in Deno KV. */
function testOnEach(name: string, run: (base: Base) => Promise<void>): void {
  Deno.test(`${name} (memory)`, () => run(startBase()));
  Deno.test(`${name} (KV)`, async () => {
    using kv = await openKv(":memory:");
    await run(startBase({ kv }));
  });
}

testOnEach("a supernode registers, and is found by another until it falls silent", async (base) => {
  const { clock } = base.deps;
  const answer = await one.post(base, "/v1/supernodes", one.supernode());
  const nowMs = clock.wallNow();
  const times = { registeredAtMs: nowMs, heartbeatAtMs: nowMs, expiresAtMs: nowMs + 30_000 };
  assertEquals([answer.status, answer.body], [201, { ...one.supernode(), ...times }]);
  await register(base, two, { region: "us" });
  assertEquals(await exits(base, two, { region: "eu" }), [one.id]);
  clock.advance(29_999);
  const beat = { heartbeats: [{ supernodeId: two.id, ...status() }] };
  const { body } = await two.post(base, "/v1/supernodes/heartbeat", beat);
  assertEquals(body, { unknown: [], nextWithinMs: 10_000 });
  assertEquals(await exits(base, two, { region: "eu" }), [one.id]);
  clock.advance(1);
  assertEquals(await exits(base, two, { region: "eu" }), []);
});

testOnEach("a heartbeat of one that is not known tells it to register again", async (base) => {
  const heartbeats = [{ supernodeId: one.id, ...status() }];
  const before = await one.post(base, "/v1/supernodes/heartbeat", { heartbeats });
  assertEquals([before.status, before.body], [200, { unknown: [one.id], nextWithinMs: 10_000 }]);
});

testOnEach("candidates are those with exits that take on work, the best first", async (base) => {
  await register(base, one, { status: status({ load: 0.9 }) });
  await register(base, two, { status: status({ load: 0.1 }) });
  await register(base, three, { region: "us", status: status({ load: 0.5 }) });
  assertEquals(await exits(base, one), [two.id, three.id, one.id]);
  assertEquals(await exits(base, one, { count: 1 }), [two.id]);
  assertEquals(await exits(base, one, { region: "eu", exclude: [one.id] }), [two.id]);
  const beat = (asker: Asker, now: Parameters<typeof status>[0]) =>
    asker.post(base, "/v1/supernodes/heartbeat", { heartbeats: [{ supernodeId: asker.id, ...status(now) }] });
  await beat(two, { draining: true });
  await beat(three, { exits: 0 });
  assertEquals(await exits(base, one), [one.id]);
  assertEquals(await exits(base, one, { which: "open", exclude: [one.id] }), [three.id]);
  assertEquals(await exits(base, one, { which: "all", only: [two.id] }), [two.id]);
});

testOnEach("relays of every kind are listed with their keys, to anyone", async (base) => {
  for (const [asker, kind] of [[one, "upstream"], [two, "downstream"], [three, "relay"], [three, "central"]] as const) {
    const answer = await asker.post(base, "/v1/relays", asker.relay(kind, { region: kind === "relay" ? "us" : "eu" }));
    assertEquals(answer.status, 201);
  }
  assertEquals(relayIds(await get(base, "/v1/relays")).length, 4);
  const answer = await get(base, "/v1/relays?kind=upstream&region=eu&count=5");
  const nowMs = base.deps.clock.wallNow();
  const times = { registeredAtMs: nowMs, expiresAtMs: nowMs + 60_000 };
  assertEquals(answer.body, { relays: [{ ...one.relay("upstream"), ...times }] });
  assertEquals(relayIds(await get(base, "/v1/relays?region=us")), [three.id]);
  const page = await get(base, "/v1/relays?count=3");
  const rest = await get(base, `/v1/relays?count=3&after=${page.body.next}`);
  assertEquals([relayIds(page).length, relayIds(rest).length, rest.body.next], [3, 1, undefined]);
  base.deps.clock.advance(60_000);
  assertEquals(relayIds(await get(base, "/v1/relays")), []);
});

testOnEach("a relay tells of the gateways linked to it, of none but them, and not of blocked ones", async (base) => {
  const gateways = [two, three].map((asker) => asker.gateway());
  assertEquals((await one.post(base, "/v1/relays", one.relay("relay", { gateways }))).status, 201);
  const listed = async () => {
    base.deps.clock.advance(1000);
    return ((await get(base, "/v1/relays?kind=relay")).body.relays as { gateways: unknown[] }[])[0]!.gateways;
  };
  assertEquals(await listed(), gateways);
  await base.blocks.block({ kind: "peer", peerId: two.id, by: "admin", reason: "captured", sinceMs: 0 });
  assertEquals(await listed(), [gateways[1]]);
  await one.post(base, "/v1/relays", one.relay("relay"));
  assertEquals(await listed(), undefined);
});

Deno.test("a page of the list holds so many relays and gateways together", async () => {
  const base = startBase();
  const gateways = Array.from({ length: 16 }, () => two.gateway());
  const askers = Array.from({ length: 16 }, (_, seed) => new Asker(100 + seed));
  for (const asker of askers) await asker.post(base, "/v1/relays", asker.relay("relay", { gateways }));
  const page = await get(base, "/v1/relays?count=64");
  const rest = await get(base, `/v1/relays?count=64&after=${page.body.next}`);
  assertEquals([relayIds(page).length, relayIds(rest).length, rest.body.next], [15, 1, undefined]);
  assertEquals([...relayIds(page), ...relayIds(rest)].sort(), askers.map(({ id }) => id).sort());
});

testOnEach("a blocked supernode is neither heard nor shown, a blocked relay neither", async (base) => {
  await register(base, one);
  await register(base, two);
  await three.post(base, "/v1/relays", three.relay());
  const because = { by: "admin", reason: "captured", sinceMs: 0 };
  await base.blocks.block({ kind: "supernode", peerId: one.id, ...because });
  await base.blocks.block({ kind: "peer", peerId: three.id, ...because });
  assertEquals(await exits(base, two, {}), [two.id]);
  assertEquals((await one.post(base, "/v1/supernodes", one.supernode())).body.code, "blocked");
  assertEquals(relayIds(await get(base, "/v1/relays")), []);
  assertEquals((await three.post(base, "/v1/relays", three.relay())).body.code, "blocked");
});

testOnEach("a request is good once", async (base) => {
  const nowMs = base.deps.clock.wallNow();
  for (
    const request of [
      one.request("/v1/supernodes", one.supernode(), nowMs),
      one.request("/v1/exit-regions", {}, nowMs),
      one.request("/v1/supernodes/heartbeat", { heartbeats: [{ supernodeId: one.id, ...status() }] }, nowMs),
      one.request("/v1/relays", one.relay(), nowMs),
    ]
  ) {
    const again = request.clone();
    assert((await base.fetch(request)).ok);
    const { status, body } = await answerOf(await base.fetch(again));
    assertEquals([status, body.code], [401, "replayed"]);
  }
});

Deno.test("a replay is none the better for a body that comes slowly", async () => {
  for (const path of ["/v1/supernodes", "/v1/supernodes/heartbeat"]) {
    const base = startBase();
    const { clock } = base.deps;
    await one.post(base, "/v1/supernodes", one.supernode());
    const body = path.endsWith("heartbeat") ? beat : one.supernode();
    const request = one.request(path, body, clock.wallNow());
    const copy = request.clone();
    const { method, headers, url } = copy;
    assert((await base.fetch(request)).ok);
    const bytes = await copy.bytes();
    const began = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const slow = new ReadableStream({
      async pull(controller) {
        began.resolve();
        await goOn.promise;
        controller.enqueue(bytes);
        controller.close();
      },
    }, { highWaterMark: 0 });
    clock.advance(59_000);
    const answering = base.fetch(new Request(url, { method, headers, body: slow }));
    await began.promise;
    clock.advance(2_000);
    goOn.resolve();
    const { status, body: problem } = await answerOf(await answering);
    assertEquals([status, problem.code], [401, "stale"], path);
  }
});

Deno.test("two processes on one store are one base", async () => {
  using kv = await openKv(":memory:");
  const first = startBase({ kv });
  const second = startBase({ kv, clock: first.deps.clock });
  const registration = one.request("/v1/supernodes", one.supernode(), first.deps.clock.wallNow());
  const replay = registration.clone();
  assertEquals((await first.fetch(registration)).status, 201);
  assertEquals((await answerOf(await second.fetch(replay))).body.code, "replayed");
  assertEquals(await exits(second, one), [one.id]);
});

// What is refused, with what, and that it is counted.

const WALL_MS = startBase().deps.clock.wallNow();
const beat = { heartbeats: [{ supernodeId: one.id, ...status() }] };

function changed(request: Request, headers: Readonly<Record<string, string>>): Request {
  const all = new Headers(request.headers);
  for (const [name, value] of Object.entries(headers)) all.set(name, value);
  return new Request(request, { headers: all });
}

const refusals: readonly (readonly [string, number, string, () => Request])[] = [
  ["no signature", 401, "unsigned", () => new Request(`${BASE_URL}/v1/supernodes`, { method: "POST", body: "{}" })],
  [
    "a signature that cannot be read",
    401,
    "malformed",
    () => changed(one.request("/v1/supernodes", one.supernode(), WALL_MS), { signature: "culvert=!" }),
  ],
  ["an old signature", 401, "stale", () => one.request("/v1/supernodes", one.supernode(), WALL_MS - 61_000)],
  [
    "another's signature",
    401,
    "bad_signature",
    () => {
      const theirs = two.request("/v1/supernodes", one.supernode(), WALL_MS).headers;
      return changed(one.request("/v1/supernodes", one.supernode(), WALL_MS), {
        "signature": theirs.get("signature")!,
      });
    },
  ],
  [
    "another body",
    401,
    "bad_digest",
    () =>
      new Request(BASE_URL + "/v1/supernodes", {
        method: "POST",
        headers: one.request("/v1/supernodes", one.supernode(), WALL_MS).headers,
        body: JSON.stringify(one.supernode({ url: "https://evil.example" })),
      }),
  ],
  [
    "a signature for another path",
    401,
    "bad_signature",
    () => {
      const request = one.request("/v1/relays", one.supernode(), WALL_MS);
      return new Request(`${BASE_URL}/v1/supernodes`, request);
    },
  ],
  ["a registration of another", 403, "wrong_peer", () => one.request("/v1/supernodes", two.supernode(), WALL_MS)],
  [
    "a registration with another's key",
    403,
    "wrong_peer",
    () => one.request("/v1/supernodes", one.supernode({ publicKey: two.supernode().publicKey }), WALL_MS),
  ],
  ["a heartbeat for another", 403, "wrong_peer", () => two.request("/v1/supernodes/heartbeat", beat, WALL_MS)],
  ["a question by a stranger", 403, "not_registered", () => two.request("/v1/exit-regions", {}, WALL_MS)],
  [
    "a sealing key of another",
    403,
    "bad_binding",
    () => one.request("/v1/relays", one.relay("relay", { sealingKey: two.relay().sealingKey }), WALL_MS),
  ],
  [
    "a gateway with another's sealing key",
    403,
    "bad_binding",
    () => {
      const gateway = { ...two.gateway(), sealingKey: three.relay().sealingKey };
      return one.request("/v1/relays", one.relay("relay", { gateways: [gateway] }), WALL_MS);
    },
  ],
  [
    "a gateway of an upstream",
    400,
    "bad_request",
    () => one.request("/v1/relays", one.relay("upstream", { gateways: [two.gateway()] }), WALL_MS),
  ],
  [
    "more gateways than a relay may have",
    400,
    "bad_request",
    () => one.request("/v1/relays", one.relay("relay", { gateways: Array(17).fill(two.gateway()) }), WALL_MS),
  ],
  [
    "a body of another type",
    415,
    "wrong_type",
    () => changed(one.request("/v1/supernodes", one.supernode(), WALL_MS), { "content-type": "text/plain" }),
  ],
  ["a body that does not fit", 400, "bad_request", () => one.request("/v1/supernodes", { region: "EU" }, WALL_MS)],
  ["a body that is too large", 413, "too_large", () => one.request("/v1/relays", "x".repeat(65_536), WALL_MS)],
  ["a query that does not fit", 400, "bad_request", () => new Request(`${BASE_URL}/v1/relays?kind=exit`)],
  ["a cursor that is none", 400, "bad_request", () => new Request(`${BASE_URL}/v1/relays?after=1`)],
  ["a count that is no number", 400, "bad_request", () => new Request(`${BASE_URL}/v1/relays?count=many`)],
  ["a path nobody serves", 404, "not_found", () => new Request(`${BASE_URL}/v2`)],
  ["a method nobody serves", 405, "wrong_method", () => new Request(`${BASE_URL}/v1/relays`, { method: "DELETE" })],
];

for (const [what, statusCode, code, request] of refusals) {
  Deno.test(`${what} is answered ${statusCode} ${code}`, async () => {
    const base = startBase();
    const { status, headers, body } = await answerOf(await base.fetch(request()));
    assertEquals([status, body.status, body.code], [statusCode, statusCode, code]);
    assertEquals([headers.get("content-type"), body.type], ["application/problem+json", `/#problem-${code}`]);
    assertMatch(String(body.detail), /^Cannot /);
    assertMatch(await base.metrics.text(), new RegExp(`directory_requests_total{.*result="${code}"} 1\n`));
  });
}

Deno.test("what a problem adds: our time, the places that do not fit, the methods that do", async () => {
  const base = startBase();
  const stale = await answerOf(await base.fetch(one.request("/v1/relays", one.relay(), WALL_MS - 61_000)));
  assertEquals(stale.body.serverTimeMs, WALL_MS);
  const misfit = await one.post(base, "/v1/supernodes", one.supernode({ region: "<script>", maxStreams: -1 }));
  assertEquals((misfit.body.errors as { at: string }[]).map(({ at }) => at), ["region", "maxStreams"]);
  assert(!JSON.stringify(misfit.body).includes("<script>"));
  const method = await base.fetch(new Request(`${BASE_URL}/v1/supernodes`, { method: "PUT" }));
  assertEquals([method.headers.get("allow"), (await answerOf(method)).status], ["POST", 405]);
});

/** A body that never ends, and how often it was asked for more. */
function endless(headers: Headers): { readonly request: Request; pulls(): number } {
  let pulls = 0;
  const body = new ReadableStream({
    pull(controller) {
      pulls++;
      controller.enqueue(new Uint8Array(16 * 1024));
    },
  });
  return { request: new Request(`${BASE_URL}/v1/relays`, { method: "POST", headers, body }), pulls: () => pulls };
}

Deno.test("a body is not read beyond its bound, whatever length it announces, and a stranger's not at all", async () => {
  const known = endless(one.request("/v1/relays", one.relay(), WALL_MS).headers);
  assertEquals((await answerOf(await startBase().fetch(known.request))).body.code, "too_large");
  assert(known.pulls() <= 8, `${known.pulls()}`);
  const strange = endless(new Headers());
  assertEquals((await answerOf(await startBase().fetch(strange.request))).body.code, "unsigned");
  assert(strange.pulls() <= 1, `${strange.pulls()}`);
});

Deno.test("one address that asks too often has to wait, another has not", async () => {
  const rate = { perSecond: 1, burst: 2 };
  const base = startBase({ limits: new AuthLimits(new SeededRandom(1), { address: rate, peer: rate }) });
  const list = (address: string) => base.fetch(new Request(`${BASE_URL}/v1/relays`), address).then(answerOf);
  for (let count = 0; count < 2; count++) assertEquals((await list("192.0.2.1")).status, 200);
  const refused = await list("192.0.2.1");
  assertEquals([refused.status, refused.body.code, refused.headers.get("retry-after")], [429, "rate_limited", "1"]);
  assertEquals((await list("192.0.2.2")).status, 200);
  assertEquals((await get(base, "/healthz")).status, 200);
  base.deps.clock.advance(1000);
  assertEquals((await list("192.0.2.1")).status, 200);
});

Deno.test("one identity that asks too often has to wait, and nobody else can make it", async () => {
  const peer = { perSecond: 1, burst: 2 };
  const base = startBase({ limits: new AuthLimits(new SeededRandom(1), { peer }) });
  for (let count = 0; count < 5; count++) {
    const forged = changed(one.request("/v1/relays", one.relay(), WALL_MS), { signature: "culvert=:AAAA:" });
    assertEquals((await answerOf(await base.fetch(forged))).body.code, "bad_signature");
  }
  for (let count = 0; count < 2; count++) assertEquals((await one.post(base, "/v1/relays", one.relay())).status, 201);
  assertEquals((await one.post(base, "/v1/relays", one.relay())).body.code, "rate_limited");
  assertEquals((await two.post(base, "/v1/relays", two.relay())).status, 201);
});

Deno.test("a base that knows its name takes no request meant for another", async () => {
  const here = startBase({ authorities: ["base.example", "base.example:8443"] });
  await register(here, one);
  const elsewhere = startBase({ authorities: ["other.example"] });
  assertEquals((await one.post(elsewhere, "/v1/supernodes", one.supernode())).body.code, "misdirected");
});

Deno.test("a closed network lets in who has its certificate for the role and the region, while it counts", async () => {
  const networkKey = new Uint8Array(32).fill(7);
  const networkPublicKey = primitives.ed25519PublicKey(networkKey);
  const base = startBase({ networkPublicKey });
  const { clock } = base.deps;
  const certify = (key: Uint8Array, roles: string[], region = "eu", asker = one) =>
    encodeCertificate(issueCertificate({
      peerId: asker.id,
      roles,
      region,
      notBeforeMs: clock.wallNow(),
      notAfterMs: clock.wallNow() + 20_000,
    }, { networkKey: key, primitives, random: new SeededRandom(5) }));
  const codeWith = async (certificate?: string) => {
    const registration = one.supernode(certificate === undefined ? {} : { certificate });
    const { status, body } = await one.post(base, "/v1/supernodes", registration);
    return status === 201 ? "ok" : body.code;
  };
  assertEquals(await codeWith(), "no_certificate");
  assertEquals(await codeWith(certify(networkKey, ["exit"])), "bad_certificate");
  assertEquals(await codeWith(certify(networkKey, ["supernode"], "us")), "bad_certificate");
  assertEquals(await codeWith(certify(networkKey, ["supernode"], "eu", two)), "bad_certificate");
  assertEquals(await codeWith(certify(new Uint8Array(32).fill(8), ["supernode"])), "bad_certificate");
  assertEquals(await codeWith(certify(networkKey, ["relay", "supernode"])), "ok");
  assertEquals(await exits(base, one), [one.id]);
  clock.advance(20_000);
  assertEquals(await exits(base, one), [], "heartbeats must not outlive the certificate");
});

Deno.test("a closed network's relay may name gateways that have a certificate for it, while that counts", async () => {
  const networkKey = new Uint8Array(32).fill(7);
  const base = startBase({ networkPublicKey: primitives.ed25519PublicKey(networkKey) });
  const { clock } = base.deps;
  const certify = (asker: Asker, role: string, forMs: number) =>
    encodeCertificate(issueCertificate({
      peerId: asker.id,
      roles: [role],
      notBeforeMs: clock.wallNow(),
      notAfterMs: clock.wallNow() + forMs,
    }, { networkKey, primitives, random: new SeededRandom(5) }));
  const codeWith = async (certificate?: string) => {
    const gateways = [two.gateway(certificate === undefined ? {} : { certificate })];
    const relay = one.relay("relay", { gateways, certificate: certify(one, "relay", 50_000) });
    const { status, body } = await one.post(base, "/v1/relays", relay);
    return status === 201 ? "ok" : body.code;
  };
  assertEquals(await codeWith(), "no_certificate");
  assertEquals(await codeWith(certify(two, "relay", 20_000)), "bad_certificate");
  assertEquals(await codeWith(certify(three, "gateway", 20_000)), "bad_certificate");
  assertEquals(await codeWith(certify(two, "gateway", 20_000)), "ok");
  const listed = async () => (await get(base, "/v1/relays")).body.relays as { gateways: { gatewayId: string }[] }[];
  assertEquals((await listed())[0]!.gateways.map(({ gatewayId }) => gatewayId), [two.id]);
  clock.advance(20_000);
  assertEquals((await listed())[0]!.gateways, []);
});

Deno.test("a store that fails is told apart from an error, and neither tells what it was", async () => {
  const failing = (error: Error): DirectoryStore => ({
    ...startBase().deps.store,
    relays: { ...startBase().deps.store.relays, list: () => Promise.reject(error) },
  });
  const locked = await get(startBase({ store: failing(new CulvertError("store_locked", "secret")) }), "/v1/relays");
  assertEquals([locked.status, locked.body.code, locked.headers.get("retry-after")], [503, "unavailable", "1"]);
  const broken = await get(startBase({ store: failing(new TypeError("secret")) }), "/v1/relays");
  assertEquals([broken.status, broken.body.code], [500, "internal"]);
  assert(!JSON.stringify([locked.body, broken.body]).includes("secret"));
});

Deno.test("whatever a stranger sends is refused without an error of ours", async () => {
  const base = startBase();
  const paths = ["/v1/supernodes", "/v1/supernodes/heartbeat", "/v1/exit-regions", "/v1/relays", "/", "/%ff"];
  const text = fc.string({ unit: "binary-ascii", maxLength: 200 }).map((text) => text.replaceAll(/[^\x20-\x7e]/g, ""));
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...paths), text, text, fc.json(), async (path, input, signature, body) => {
      const headers = { "signature-input": input, signature, "content-digest": input };
      const response = await base.fetch(new Request(BASE_URL + path, { method: "POST", headers, body }), "::1");
      assert([400, 401, 403, 404, 405].includes(response.status), `${response.status}`);
    }),
    { numRuns: 80 },
  );
  const asker = new Asker(99);
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...paths.slice(0, 4)), fc.jsonValue(), async (path, body) => {
      const { status } = await asker.post(base, path, body);
      assert([400, 429].includes(status) || path === "/v1/exit-regions" && status === 403, `${path} ${status}`);
    }),
    { numRuns: 40 },
  );
});

Deno.test("/healthz needs no store, and answers under any name", async () => {
  const base = startBase({ authorities: ["other.example"] });
  const { status, body, headers } = await get(base, "/healthz");
  assertEquals([status, body, headers.get("cache-control")], [200, { status: "ok", version: "0.1.0" }, "no-store"]);
});

Deno.test("openapi.json describes every route there is, and refers only to what it holds", async () => {
  const { body, headers } = await get(startBase(), "/openapi.json");
  assertEquals([body.openapi, headers.get("cache-control")], ["3.1.1", "public, max-age=300"]);
  const paths = body.paths as Record<string, Record<string, unknown>>;
  assertEquals(
    Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((name) => `${name} ${path}`)),
    [
      "post /v1/supernodes",
      "post /v1/supernodes/heartbeat",
      "post /v1/exit-regions",
      "post /v1/relays",
      "get /v1/relays",
      "get /healthz",
    ],
  );
  const { schemas } = body.components as { schemas: Record<string, unknown> };
  const text = JSON.stringify(body);
  for (const [, name] of text.matchAll(/"\$ref":"([^"]+)"/g)) {
    assert(name!.replace("#/components/schemas/", "") in schemas, name);
  }
  assert(!text.includes("$schema") && !text.includes("$id") && !text.includes("__shared"));
});

Deno.test("the page shows every operation, schema and problem, and its policy allows nothing but its style", async () => {
  const base = startBase();
  const response = await base.fetch(new Request(`${BASE_URL}/`));
  const page = await response.text();
  assertStringIncludes(response.headers.get("content-security-policy")!, "default-src 'none'; style-src 'self'");
  for (const part of ["registerRelay", "schema-SupernodeRecord", "problem-replayed", 'lang="en"']) {
    assertStringIncludes(page, part);
  }
  assert(!/<script|style="|https?:\/\//.test(page.replaceAll(/<code>[^<]*<\/code>/g, "")));
  for (const [, id] of page.matchAll(/href="#([^"]+)"/g)) assertStringIncludes(page, `id="${id}"`);
  const style = await base.fetch(new Request(`${BASE_URL}/style.css`));
  assertEquals([style.headers.get("content-type"), style.headers.get("x-content-type-options")], [
    "text/css",
    "nosniff",
  ]);
  await style.body?.cancel();
});
