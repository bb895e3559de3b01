/**
 * What strangers try at the API by which supernodes ask each other for things, over HTTP to a real port: each is told
 * what was wrong, is counted, and costs no signature that a cheaper question would have spared.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { createKvNonces } from "../kv/nonces.ts";
import { encodeBase64 } from "../protocol/encoding.ts";
import { signRequest } from "../protocol/http_signature.ts";
import type { Identity } from "../protocol/identity.ts";
import { openSession } from "../protocol/session.ts";
import { writeAll } from "../protocol/stream.ts";
import { PEERING_PATHS } from "../roles/supernode/peering_schema.ts";
import { FakeClock, settle } from "../testing/fake_clock.ts";
import { AttackedSupernode, memoryStores, newIdentity, primitives, random } from "./fixtures/attacked_supernode.ts";

const me = newIdentity();
const another = newIdentity();

interface Call {
  readonly body?: unknown;
  readonly path?: string;
  readonly signer?: Identity;
  /** The supernode it is for; that one unless given. */
  readonly recipient?: string;
  /** How far the signer's clock is off. */
  readonly byMs?: number;
}

/** A signed request that is good at that supernode, but for what the call changes. */
function requestTo(at: AttackedSupernode, call: Call = {}): Request {
  const { body = {}, path = PEERING_PATHS.tokens, signer = me, recipient = at.identity.peerId, byMs = 0 } = call;
  const url = at.url + path;
  const bytes = new TextEncoder().encode(JSON.stringify(body));
  const signed = signRequest({ method: "POST", url }, bytes, {
    signer,
    recipient,
    wallNowMs: at.clock.wallNow() + byMs,
    random,
    primitives,
  });
  return new Request(url, { method: "POST", headers: { ...signed, "content-type": "application/json" }, body: bytes });
}

function changed(request: Request, headers: Readonly<Record<string, string | null>>): Request {
  const all = new Headers(request.headers);
  for (const [name, value] of Object.entries(headers)) value === null ? all.delete(name) : all.set(name, value);
  return new Request(request, { headers: all });
}

interface Attack {
  readonly name: string;
  readonly request: (at: AttackedSupernode) => Request;
  readonly status: number;
  readonly code: string;
  readonly verifications?: number;
}

const signedAgain = (at: AttackedSupernode) => requestTo(at, { signer: another }).headers.get("signature")!;

const attacks: readonly Attack[] = [
  {
    name: "no signature",
    request: (at) => changed(requestTo(at), { signature: null }),
    status: 401,
    code: "unsigned",
  },
  {
    name: "a signature that cannot be read",
    request: (at) => changed(requestTo(at), { signature: "culvert=!" }),
    status: 401,
    code: "malformed",
  },
  {
    name: "a signature that leaves the path out",
    request(at) {
      const request = requestTo(at);
      const input = request.headers.get("signature-input")!.replace(' "@path"', "");
      return changed(request, { "signature-input": input });
    },
    status: 401,
    code: "not_covered",
  },
  { name: "a clock that is late", request: (at) => requestTo(at, { byMs: -62_000 }), status: 401, code: "stale" },
  { name: "a clock that is early", request: (at) => requestTo(at, { byMs: 62_000 }), status: 401, code: "stale" },
  {
    name: "another's signature",
    request: (at) => changed(requestTo(at), { signature: signedAgain(at) }),
    status: 401,
    code: "bad_signature",
    verifications: 1,
  },
  {
    name: "a signature for another path",
    request: (at) => new Request(at.url + PEERING_PATHS.tokens, requestTo(at, { path: PEERING_PATHS.ends })),
    status: 401,
    code: "bad_signature",
    verifications: 1,
  },
  {
    name: "a request for another supernode",
    request: (at) => requestTo(at, { recipient: another.peerId }),
    status: 421,
    code: "misdirected",
  },
  {
    name: "another body",
    request: (at) => new Request(at.url + PEERING_PATHS.tokens, { ...init(requestTo(at)), body: '{"more":1}' }),
    status: 401,
    code: "bad_digest",
    verifications: 1,
  },
  {
    name: "a body of another type",
    request: (at) => changed(requestTo(at), { "content-type": "text/plain" }),
    status: 415,
    code: "wrong_type",
    verifications: 1,
  },
  {
    name: "a body that does not fit",
    request: (at) => requestTo(at, { path: PEERING_PATHS.ends, body: { sessionId: 7 } }),
    status: 400,
    code: "bad_request",
    verifications: 1,
  },
  { name: "a path nobody serves", request: (at) => requestTo(at, { path: "/v2" }), status: 404, code: "not_found" },
];

function init(request: Request): RequestInit {
  return { method: request.method, headers: request.headers };
}

for (const { name, request, status, code, verifications = 0 } of attacks) {
  Deno.test(`answered ${status} ${code}: ${name}`, async () => {
    await using at = await AttackedSupernode.start();
    const response = await fetch(request(at));
    const problem = await response.json();
    assertEquals([response.status, problem.code, at.verifications], [status, code, verifications]);
    assertMatch(problem.detail, /^Cannot /);
    assertEquals(problem.serverTimeMs, code === "stale" ? at.clock.wallNow() : undefined);
    assertMatch(await at.metrics.text(), new RegExp(`peering_requests_total{.*result="${code}"} 1\n`));
    assertEquals((await fetchJson(requestTo(at))).status, 200);
  });
}

async function fetchJson(request: Request) {
  const response = await fetch(request);
  return { status: response.status, body: await response.json() };
}

Deno.test("a request that comes again is refused, also by the supernode after its next start", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const identity = newIdentity();
  const stores = { ...memoryStores(clock), nonces: createKvNonces(kv, clock, { space: identity.peerId }) };
  let again: Request;
  let authority: string;
  {
    await using before = await AttackedSupernode.start({ identity, clock, stores });
    const request = requestTo(before);
    again = request.clone();
    authority = before.url;
    assertEquals((await fetchJson(request.clone())).status, 200);
    assertEquals((await fetchJson(request)).body.code, "replayed");
    assertStringIncludes(await before.metrics.text(), 'peering_requests_total{operation="tokens",result="replayed"} 1');
  }
  await using after = await AttackedSupernode.start({ identity, clock, stores, port: Number(new URL(authority).port) });
  assertEquals((await fetchJson(again)).body.code, "replayed");
  assertEquals(after.verifications, 1);
});

Deno.test("a supernode that an administrator has blocked is refused", async () => {
  await using at = await AttackedSupernode.start();
  await at.stores.blocks.block({
    kind: "supernode",
    peerId: me.peerId,
    by: "a test",
    reason: "captured",
    sinceMs: at.clock.wallNow(),
  });
  assertEquals((await fetchJson(requestTo(at))).body.code, "blocked");
  assertEquals((await fetchJson(requestTo(at, { signer: another }))).status, 200);
});

Deno.test("nobody ends a session of another supernode, or sets one up in its name", async () => {
  await using at = await AttackedSupernode.start();
  const [sessionId, clientWireguardKey] = ["A".repeat(22), encodeBase64(new Uint8Array(32))];
  const clientPeerId = newIdentity().peerId;
  const expiresAtMs = at.clock.wallNow() + 600_000;
  at.supernode.sessions.add(openSession({
    ...{ sessionId, clientPeerId, clientWireguardKey, expiresAtMs, wish: {}, candidates: [] },
    clientSupernodeId: another.peerId,
  }, at.clock.wallNow()));
  const end = { sessionId, reason: "client_left" };
  const setUp = {
    ...{ sessionId, clientPeerId, clientWireguardKey, expiresAtMs },
    ...{ commandId: "B".repeat(21) + "A", exitPeerId: newIdentity().peerId, timeoutMs: 1000 },
  };
  const refused = await fetchJson(requestTo(at, { path: PEERING_PATHS.setups, body: setUp }));
  assertEquals([refused.status, refused.body.code], [200, "not_yours"]);
  const { body } = await fetchJson(requestTo(at, { path: PEERING_PATHS.checks, body: { sessionIds: [sessionId] } }));
  assertEquals(body, { unknown: [sessionId] }, "nor hears of it");
  await fetchJson(requestTo(at, { path: PEERING_PATHS.ends, body: end }));
  assertEquals(at.supernode.sessions.find(sessionId)?.clientSupernodeId, another.peerId);
  await fetchJson(requestTo(at, { path: PEERING_PATHS.ends, body: end, signer: another }));
  assertEquals(at.supernode.sessions.find(sessionId), undefined);
});

/** What a raw connection is answered to that text; `isAll`: it then says that there is no more to come. */
async function say(at: AttackedSupernode, text: string, { isAll }: { readonly isAll: boolean }): Promise<string> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: at.port });
  await writeAll(conn, new TextEncoder().encode(text));
  if (isAll) await conn.closeWrite();
  return await new Response(conn.readable).text();
}

const bodies = [
  { name: "is announced as too long", head: "Content-Length: 65537", status: 413, reason: "too_large" },
  { name: "has no length", head: "Transfer-Encoding: chunked", status: 413, reason: "too_large" },
  { name: "has two lengths", head: "Content-Length: 2\r\nContent-Length: 3", status: 413, reason: "too_large" },
];
for (const { name, head, status, reason } of bodies) {
  Deno.test(`a body that ${name} is not read`, async () => {
    await using at = await AttackedSupernode.start();
    const text = `POST ${PEERING_PATHS.tokens} HTTP/1.1\r\nHost: x\r\n${head}\r\n\r\n`;
    const answer = await say(at, text, { isAll: true });
    assertMatch(answer, new RegExp(`^HTTP/1.1 ${status} `));
    assertStringIncludes(answer, "Cannot take the request");
    assertStringIncludes(await at.metrics.text(), `web_port_refused_total{reason="${reason}"} 1`);
  });
}

Deno.test("a body that dawdles is given up after ten seconds, with nothing verified", async () => {
  await using at = await AttackedSupernode.start();
  const text = `POST ${PEERING_PATHS.tokens} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf`;
  let answer: string | undefined;
  say(at, text, { isAll: false }).catch(() => "").then((said) => answer = said);
  for (let turns = 0; answer === undefined; turns++) {
    await at.pass(500);
    await settle();
    assert(turns < 10_000);
  }
  assertEquals([answer, at.verifications], ["", 0]);
  assertStringIncludes(await at.metrics.text(), 'web_port_refused_total{reason="timeout"} 1');
});

Deno.test("an identity that asks too often has to wait, and another has not", async () => {
  await using at = await AttackedSupernode.start();
  const statuses: number[] = [];
  const asks = async (count: number) => {
    while (count-- > 0) statuses.push((await fetchJson(requestTo(at))).status);
  };
  await Promise.all(Array.from({ length: 20 }, () => asks(155)));
  const answered = statuses.filter((status) => status === 200).length;
  assert(answered > 2990 && answered <= 3000, `${answered}`);
  assertEquals(new Set(statuses), new Set([200, 429]));
  assertEquals((await fetchJson(requestTo(at, { signer: another }))).status, 200);
});
