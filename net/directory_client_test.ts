import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { Asker, type Base, startBase, status } from "../edge/fixtures/directory.ts";
import { encodeCertificate, issueCertificate } from "../protocol/certificate.ts";
import type { SupernodeRecord } from "../protocol/directory.ts";
import { CulvertError } from "../protocol/errors.ts";
import { portablePrimitives as primitives } from "../protocol/primitives.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { SeededRandom } from "../testing/seeded_random.ts";
import { DirectoryClient, type DirectoryClientOptions } from "./directory_client.ts";
import { stayListed } from "./directory_listing.ts";
import { HttpCallError } from "./signed_http.ts";

const one = new Asker(1);
const two = new Asker(2);
const three = new Asker(3);

/** Bases by host, and what is wrong with each at present. */
class Bases {
  readonly clock = new FakeClock();
  readonly byHost = new Map<string, Base>();
  readonly asked: string[] = [];
  /** Host → what it does instead of answering. */
  readonly trouble = new Map<string, (request: Request) => Promise<Response>>();

  constructor(...hosts: string[]) {
    const base = startBase({ clock: this.clock });
    for (const host of hosts) this.byHost.set(host, base);
  }

  readonly fetch = (request: Request): Promise<Response> => {
    const { host, pathname } = new URL(request.url);
    this.asked.push(`${host}${pathname}`);
    const trouble = this.trouble.get(host);
    return trouble ? trouble(request) : this.byHost.get(host)!.fetch(request);
  };

  client(asker: Asker, overrides: Partial<DirectoryClientOptions> = {}): DirectoryClient {
    return new DirectoryClient({
      bases: [...this.byHost.keys()].map((host) => new URL(`https://${host}`)),
      signer: asker.identity,
      clock: this.clock,
      random: asker.random,
      primitives,
      fetch: this.fetch,
      ...overrides,
    });
  }
}

const refuseConnection = () => Promise.reject(new TypeError("connection refused"));

function idsOf(records: readonly SupernodeRecord[]): string[] {
  return records.map(({ supernodeId }) => supernodeId);
}

/** A base on which the three are registered, and the client of the first. */
async function threeSupernodes(overrides: Partial<DirectoryClientOptions> = {}) {
  const bases = new Bases("base.example");
  for (const [at, asker] of [one, two, three].entries()) {
    using client = bases.client(asker);
    await client.register(asker.supernode({ status: status({ load: at / 10 }) }));
  }
  bases.asked.length = 0;
  return { bases, client: bases.client(one, overrides) };
}

Deno.test("a supernode registers, beats, and finds the others", async () => {
  const { bases, client } = await threeSupernodes();
  using _client = client;
  assertEquals(await client.heartbeat([{ supernodeId: one.id, ...status() }]), { unknown: [], nextWithinMs: 10_000 });
  assertEquals(idsOf(await client.candidates({ exclude: [one.id] })), [two.id, three.id]);
  assertEquals(idsOf(await client.candidates({ count: 1 })), [two.id]);
  assertEquals(await client.candidates({ region: "us" }), []);
  const count = (path: string) => bases.asked.filter((asked) => asked === `base.example${path}`).length;
  assertEquals(count("/v1/exit-regions"), 2, "one for anywhere, one for the region");
});

Deno.test("a relay registers and is listed", async () => {
  const bases = new Bases("base.example");
  using client = bases.client(one);
  const record = await client.registerRelay(one.relay("central"));
  assertEquals(await client.listRelays({ kind: "central", count: 3 }), { relays: [record] });
  assertEquals(await client.listRelays({ kind: "relay" }), { relays: [] });
  await client.registerRelay(one.relay("relay"));
  bases.clock.advance(1000);
  const first = await client.listRelays({ count: 1 });
  const second = await client.listRelays({ count: 1, ...(first.next !== undefined && { after: first.next }) });
  assertEquals([first, second].map(({ relays }) => relays[0]?.kind).sort(), ["central", "relay"]);
  assertEquals(second.next, undefined);
});

Deno.test("base is asked once for all who want to know at the same time, and again when it is not fresh", async () => {
  const { bases, client } = await threeSupernodes({ freshMs: 2000 });
  using _client = client;
  await Promise.all(Array.from({ length: 50 }, () => client.candidates({ region: "eu" })));
  bases.clock.advance(1999);
  await client.candidates({ region: "eu", count: 2 });
  assertEquals(bases.asked.length, 1);
  bases.clock.advance(1);
  await client.candidates({ region: "eu" });
  assertEquals(bases.asked.length, 2);
});

Deno.test("that there is nobody is asked again sooner than who there is", async () => {
  const { bases, client } = await threeSupernodes({ freshMs: 2000 });
  using _client = client;
  const askedAfter = async (waitMs: number) => {
    bases.clock.advance(waitMs);
    assertEquals(await client.candidates({ region: "us" }), []);
    return bases.asked.length;
  };
  assertEquals([await askedAfter(0), await askedAfter(199), await askedAfter(1)], [1, 1, 2]);
  const exclude = [one.id, two.id, three.id];
  for (const waitMs of [0, 199, 1]) {
    bases.clock.advance(waitMs);
    assertEquals(await client.candidates({ region: "eu", exclude }), []);
  }
  assertEquals(bases.asked.length, 4, "who is excluded does not count");
});

Deno.test("while base is down the last it said is told, base is asked less and less, and then no more is told", async () => {
  const { bases, client } = await threeSupernodes({ keptMs: 600_000 });
  using _client = client;
  const before = idsOf(await client.candidates({ region: "eu" }));
  bases.trouble.set("base.example", refuseConnection);
  bases.asked.length = 0;
  for (let atMs = 0; atMs < 590_000; atMs += 100) {
    bases.clock.advance(100);
    assertEquals(idsOf(await client.candidates({ region: "eu" })), before);
  }
  assert(bases.asked.length >= 10 && bases.asked.length <= 120, `${bases.asked.length}`);
  bases.clock.advance(60_000);
  await assertRejects(() => client.candidates({ region: "eu" }), HttpCallError, "connection refused");
  bases.trouble.clear();
  for (const asker of [one, two]) await bases.client(asker).register(asker.supernode());
  assertEquals(idsOf(await client.candidates({ region: "eu" })).length, 2);
});

Deno.test("a base that is back and knows few yet does not make forgotten who was known before, for a while", async () => {
  const { bases, client } = await threeSupernodes();
  using _client = client;
  const before = idsOf(await client.candidates({ region: "eu" }));
  const { clock } = bases;
  bases.trouble.set("base.example", refuseConnection);
  clock.advance(5000);
  assertEquals(idsOf(await client.candidates({ region: "eu" })), before);
  bases.byHost.set("base.example", startBase({ clock }));
  bases.trouble.clear();
  const back = async (...askers: Asker[]) => {
    for (const asker of askers) await bases.client(asker).register(asker.supernode());
  };
  await back(one, two);
  clock.advance(60_000);
  await back(one, two);
  const now = idsOf(await client.candidates({ region: "eu" }));
  assertEquals([now.length, now[2]], [3, three.id], "those that base names come first");
  clock.advance(29_000);
  await back(one, two);
  assertEquals((await client.candidates({ region: "eu" })).length, 3);
  clock.advance(6000);
  assertEquals((await client.candidates({ region: "eu" })).length, 2, "by now everybody would have registered");
});

Deno.test("a base that has forgotten us has forgotten the others too: who was known before stays for a while", async () => {
  const { bases, client } = await threeSupernodes();
  using _client = client;
  await client.candidates({ region: "eu" });
  bases.byHost.set("base.example", startBase({ clock: bases.clock }));
  assertEquals((await client.heartbeat([{ supernodeId: one.id, ...status() }])).unknown, [one.id]);
  await client.register(one.supernode());
  bases.clock.advance(5000);
  assertEquals((await client.candidates({ region: "eu" })).length, 3);
});

for (const [code, status] of [["not_registered", 403], ["rate_limited", 429]] as const) {
  Deno.test(`while base says ${code} the last it said of exits is told`, async () => {
    const { bases, client } = await threeSupernodes();
    using _client = client;
    const before = idsOf(await client.candidates({ region: "eu" }));
    bases.clock.advance(5000);
    const problem = { type: "/", title: "no", status, code, detail: "not now" };
    bases.trouble.set("base.example", () => Promise.resolve(Response.json(problem, { status })));
    assertEquals(idsOf(await client.candidates({ region: "eu" })), before);
    await assertRejects(() => client.candidates({ region: "us" }), HttpCallError, code);
  });
}

Deno.test("a region that base was never asked for cannot be told while it is down", async () => {
  const { bases, client } = await threeSupernodes();
  using _client = client;
  await client.candidates({ region: "eu" });
  bases.trouble.set("base.example", refuseConnection);
  await assertRejects(() => client.candidates({ region: "us" }), HttpCallError);
});

Deno.test("of several bases the next is asked when one fails, and stays the first", async () => {
  const bases = new Bases("a.example", "b.example", "c.example");
  using client = bases.client(one);
  bases.trouble.set("a.example", refuseConnection);
  bases.trouble.set("b.example", () => Promise.resolve(new Response("busy", { status: 503 })));
  await client.register(one.supernode());
  await client.heartbeat([{ supernodeId: one.id, ...status() }]);
  assertEquals(bases.asked, [
    "a.example/v1/supernodes",
    "b.example/v1/supernodes",
    "c.example/v1/supernodes",
    "c.example/v1/supernodes/heartbeat",
  ]);
  bases.trouble.set("c.example", refuseConnection);
  await assertRejects(() => client.register(one.supernode()), HttpCallError, "Cannot register a supernode at");
});

Deno.test("a base that refuses has the last word, and what it said can be read", async () => {
  const bases = new Bases("a.example", "b.example");
  using client = bases.client(one);
  const error = await assertRejects(() => client.candidates(), HttpCallError);
  assertEquals([error.code, error.problem?.code, error.problem?.status], ["http_refused", "not_registered", 403]);
  assertStringIncludes(error.message, "Cannot ask for exits at a.example: it answered 403 and not_registered");
  assertEquals(bases.asked, ["a.example/v1/exit-regions"]);
});

Deno.test("a clock that is wrong is told apart", async () => {
  const bases = new Bases("base.example");
  using client = bases.client(one, { clock: new FakeClock(bases.clock.wallNow() - 120_000) });
  const error = await assertRejects(() => client.register(one.supernode()), HttpCallError);
  assertEquals([error.problem?.code, error.problem?.serverTimeMs], ["stale", bases.clock.wallNow()]);
});

const nonsense: readonly (readonly [string, () => Response])[] = [
  ["no JSON", () => new Response("<html>")],
  ["JSON of another form", () => Response.json({ supernodes: [{}] })],
  ["more than anyone needs", () => new Response(new Uint8Array(1024 * 1024 + 1))],
  ["a redirect", () => new Response(null, { status: 302, headers: { location: "https://evil.example" } })],
  ["an error without a reason", () => new Response("oops", { status: 500 })],
];
for (const [what, answer] of nonsense) {
  Deno.test(`an answer that is ${what} counts as none`, async () => {
    const bases = new Bases("base.example");
    bases.trouble.set("base.example", () => Promise.resolve(answer()));
    using client = bases.client(one);
    const error = await assertRejects(() => client.candidates(), HttpCallError);
    assertEquals(error.code, "http_failed");
  });
}

Deno.test("a base that does not answer is given up in time, and so is a call whose signal is aborted", async () => {
  const bases = new Bases("base.example");
  const hang = ({ signal }: Request) =>
    new Promise<Response>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  bases.trouble.set("base.example", hang);
  using client = bases.client(one, { timeoutMs: 3000 });
  const slow = assertRejects(() => client.register(one.supernode()), HttpCallError, "no answer within 3000 ms");
  await bases.clock.advanceAsync(3000);
  await slow;
  const controller = new AbortController();
  const aborted = assertRejects(() => client.register(one.supernode(), controller), Error, "enough");
  controller.abort(new Error("enough"));
  await aborted;
  const closed = assertRejects(() => client.candidates(), CulvertError, "closed");
  client[Symbol.dispose]();
  await closed;
  assertEquals(bases.clock.pendingTimers, 0);
});

Deno.test("candidates that are not whom they say, or not of the closed network, are left out", async () => {
  const networkKey = new Uint8Array(32).fill(7);
  const bases = new Bases("base.example");
  const { clock } = bases;
  const certificate = (asker: Asker, key = networkKey) =>
    encodeCertificate(issueCertificate({
      peerId: asker.id,
      roles: ["supernode"],
      notBeforeMs: clock.wallNow(),
      notAfterMs: clock.wallNow() + 60_000,
    }, { networkKey: key, primitives, random: new SeededRandom(5) }));
  const times = { registeredAtMs: 0, heartbeatAtMs: 0, expiresAtMs: clock.wallNow() + 30_000 };
  const supernodes: SupernodeRecord[] = [
    { ...one.supernode({ certificate: certificate(one) }), ...times },
    { ...two.supernode(), ...times },
    { ...two.supernode({ certificate: certificate(two, new Uint8Array(32).fill(8)) }), ...times },
    { ...three.supernode({ certificate: certificate(three) }), publicKey: two.supernode().publicKey, ...times },
  ];
  bases.trouble.set("base.example", () => Promise.resolve(Response.json({ supernodes })));
  using closed = bases.client(one, { networkPublicKey: primitives.ed25519PublicKey(networkKey) });
  assertEquals(idsOf(await closed.candidates()), [one.id]);
  using open = bases.client(one);
  assertEquals(idsOf(await open.candidates()), [one.id, two.id, two.id]);
});

Deno.test("a base may live below a path", async () => {
  const bases = new Bases("base.example");
  bases.trouble.set("base.example", () => Promise.resolve(Response.json({ relays: [] })));
  for (const url of ["https://base.example/culvert", "https://base.example/culvert/"]) {
    using client = bases.client(one, { bases: [new URL(url)] });
    await client.listRelays();
  }
  assertEquals(new Set(bases.asked), new Set(["base.example/culvert/v1/relays"]));
});

Deno.test("a client without a base is a mistake", () => {
  assertThrows(() => new Bases().client(one), CulvertError, "bases must name at least one");
});

Deno.test("staying listed: registers, beats, registers again when forgotten or when something lasting changes", async () => {
  const bases = new Bases("base.example");
  using client = bases.client(one);
  let now = one.supernode();
  const told: boolean[] = [];
  const ending = new AbortController();
  const { clock } = bases;
  const listing = stayListed({
    client,
    describe: () => now,
    clock,
    random: new SeededRandom(3),
    onListed: (isListed) => told.push(isListed),
  }, ending.signal);
  await clock.advanceAsync(35_000);
  const register = "base.example/v1/supernodes";
  const beat = "base.example/v1/supernodes/heartbeat";
  assertEquals(bases.asked, [register, beat, beat, beat]);
  now = one.supernode({ region: "us" });
  bases.asked.length = 0;
  await clock.advanceAsync(10_000);
  assertEquals(bases.asked, [register]);
  bases.trouble.set("base.example", refuseConnection);
  await clock.advanceAsync(60_000);
  assertEquals(told, [true, false]);
  bases.trouble.clear();
  bases.asked.length = 0;
  await clock.advanceAsync(10_000);
  assertEquals([bases.asked.slice(0, 2), told], [[beat, register], [true, false, true]]);
  ending.abort();
  await listing;
  assertEquals(clock.pendingTimers, 0);
});
