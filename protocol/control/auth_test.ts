import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { encodeBase64, encodeBase64Url } from "../encoding.ts";
import { portablePrimitives as primitives } from "../primitives.ts";
import { type AuthCheck, authTimeMs, makeAuthAnswer, refusalOfAuth, refusalOfAuthAnswer } from "./auth.ts";
import { certificateFor, closedNetwork, goodRequest, peer, stranger, supernode, WALL_MS } from "./fixtures/people.ts";
import { type AuthAccepted, type AuthRequest, authRequestSchema, encodeControl, parseControl } from "./messages.ts";
import { Nonces } from "./nonces.ts";

function checkWith(change: Partial<AuthCheck> = {}): AuthCheck {
  return { supernodeId: supernode.peerId, wallMs: WALL_MS, primitives, nonces: new Nonces(), ...change };
}

Deno.test("a request that is as it should be is taken, over the wire too", () => {
  const request = goodRequest({ resume: { supernodeId: supernode.peerId, lastSequence: 7 }, version: "1.0" });
  assertEquals(parseControl(encodeControl(request)), { ok: true, message: request });
  assertEquals(refusalOfAuth(request, checkWith()), undefined);
});

Deno.test("each attack on a request is refused for its own reason", () => {
  const good = goodRequest();
  const other = goodRequest({}, stranger);
  const key = (byte: number) => encodeBase64(new Uint8Array(32).fill(byte));
  const rows: { name: string; request: AuthRequest; reason: string; check?: Partial<AuthCheck> }[] = [
    {
      name: "meant for another supernode",
      request: goodRequest({ supernodeId: stranger.peerId }),
      reason: "wrong_supernode",
    },
    {
      name: "passed on with our id put in",
      request: { ...goodRequest({ supernodeId: stranger.peerId }), supernodeId: supernode.peerId },
      reason: "bad_signature",
    },
    {
      name: "a forged signature",
      request: { ...good, signature: encodeBase64(new Uint8Array(64).fill(5)) },
      reason: "bad_signature",
    },
    { name: "another's signature", request: { ...good, signature: other.signature }, reason: "bad_signature" },
    { name: "another's peer id", request: { ...good, peerId: stranger.peerId }, reason: "wrong_peer_id" },
    { name: "another's key", request: { ...good, publicKey: other.publicKey }, reason: "wrong_peer_id" },
    { name: "a key of small order", request: { ...good, publicKey: key(0) }, reason: "wrong_peer_id" },
    { name: "another role than was signed", request: { ...good, role: "client" }, reason: "bad_signature" },
    { name: "another region than was signed", request: { ...good, region: "us" }, reason: "bad_signature" },
    { name: "another nonce than was signed", request: { ...good, nonce: other.nonce }, reason: "bad_signature" },
    { name: "another time than was signed", request: { ...good, timestampMs: WALL_MS + 1 }, reason: "bad_signature" },
    {
      name: "another's WireGuard key",
      request: { ...good, wireguardKey: other.wireguardKey },
      reason: "bad_signature",
    },
    {
      name: "a WireGuard key nobody bound",
      request: { ...good, wireguardSignature: other.wireguardSignature },
      reason: "bad_binding",
    },
    { name: "a minute and more old", request: goodRequest({ timestampMs: WALL_MS - 60_001 }), reason: "stale" },
    { name: "a minute and more ahead", request: goodRequest({ timestampMs: WALL_MS + 60_001 }), reason: "stale" },
    {
      name: "a stale time made fresh",
      request: { ...goodRequest({ timestampMs: WALL_MS - 60_001 }), timestampMs: WALL_MS },
      reason: "bad_signature",
    },
    {
      name: "a nonce of another length",
      request: { ...good, nonce: encodeBase64Url(new Uint8Array(1)) },
      reason: "bad_signature",
    },
    { name: "a revoked peer", request: good, reason: "revoked", check: { isRevokedPeer: (id) => id === peer.peerId } },
    { name: "a peer that tries too often", request: good, reason: "rate_limited", check: { allowPeer: () => false } },
    { name: "no room for its nonce", request: good, reason: "busy", check: { nonces: new Nonces(0) } },
  ];
  for (const { name, request, reason, check } of rows) {
    assertEquals(refusalOfAuth(request, checkWith(check)), reason, name);
  }
});

Deno.test("when the clock has gone forward and back, no request that was taken before passes again", () => {
  const nonces = new Nonces();
  const before = goodRequest();
  const hourMs = 3_600_000;
  assertEquals(refusalOfAuth(before, checkWith({ nonces })), undefined);
  const ahead = goodRequest({ timestampMs: WALL_MS + hourMs });
  assertEquals(refusalOfAuth(ahead, checkWith({ nonces, wallMs: WALL_MS + hourMs })), undefined);
  assertNotEquals(refusalOfAuth(before, checkWith({ nonces })), undefined);
  assertNotEquals(refusalOfAuth(ahead, checkWith({ nonces })), undefined);
  const timestampMs = authTimeMs(WALL_MS, nonces);
  assertEquals(
    refusalOfAuth(goodRequest({ timestampMs }), checkWith({ nonces })),
    undefined,
    "told the time it passes",
  );
  assertEquals(authTimeMs(WALL_MS + 2 * hourMs, nonces), WALL_MS + 2 * hourMs);
});

Deno.test("a request is taken once, and a refused one leaves nothing behind", () => {
  const check = checkWith({ nonces: new Nonces(1) });
  const request = goodRequest();
  const forged = { ...request, signature: goodRequest({}, stranger).signature };
  assertEquals(refusalOfAuth(forged, check), "bad_signature");
  assertEquals(refusalOfAuth(request, check), undefined);
  assertEquals(refusalOfAuth(request, check), "replayed");
  assertEquals(refusalOfAuth(request, { ...check, wallMs: WALL_MS + 60_000 }), "replayed");
  assertEquals(refusalOfAuth(request, { ...check, wallMs: WALL_MS + 60_001 }), "stale");
});

Deno.test("a stranger who names a peer, or replays it, cannot use up that peer's tries", () => {
  let asked = 0;
  const check = checkWith({ allowPeer: () => ++asked > 0 });
  const request = goodRequest();
  assertEquals(refusalOfAuth({ ...request, signature: goodRequest().signature }, check), "bad_signature");
  assertEquals(asked, 0);
  assertEquals(refusalOfAuth(request, check), undefined);
  assertEquals(refusalOfAuth(request, check), "replayed");
  assertEquals(asked, 1);
});

Deno.test("who is not of a closed network cannot fill the memory of nonces", () => {
  const nonces = new Nonces();
  refusalOfAuth(goodRequest(), checkWith({ nonces, network: closedNetwork }));
  const certificate = certificateFor(stranger, { roles: ["exit"] });
  refusalOfAuth(goodRequest({ certificate }), checkWith({ nonces, network: closedNetwork }));
  assertEquals(nonces.size, 0);
});

Deno.test("clocks may be a minute apart, either way", () => {
  for (const skewMs of [-60_000, 60_000]) {
    assertEquals(refusalOfAuth(goodRequest({ timestampMs: WALL_MS + skewMs }), checkWith()), undefined);
  }
});

Deno.test("a closed network takes only peers with its certificate for that role and region", () => {
  const network = closedNetwork;
  const rows: { name: string; certificate?: string; reason?: string; network?: AuthCheck["network"] }[] = [
    { name: "its own", certificate: certificateFor(peer, { roles: ["exit"] }) },
    { name: "its own, for anywhere", certificate: certificateFor(peer, { roles: ["client", "exit"], region: "*" }) },
    { name: "none", reason: "no_certificate" },
    { name: "another peer's", certificate: certificateFor(stranger, { roles: ["exit"] }), reason: "bad_certificate" },
    { name: "another role's", certificate: certificateFor(peer, { roles: ["client"] }), reason: "bad_certificate" },
    {
      name: "another region's",
      certificate: certificateFor(peer, { roles: ["exit"], region: "us" }),
      reason: "bad_certificate",
    },
    {
      name: "one that has ended",
      certificate: certificateFor(peer, { roles: ["exit"], notAfterMs: WALL_MS }),
      reason: "bad_certificate",
    },
    {
      name: "another network's",
      certificate: certificateFor(peer, { roles: ["exit"], networkKey: new Uint8Array(32).fill(98) }),
      reason: "bad_certificate",
    },
    { name: "nonsense", certificate: "culvert-cert-v1.AA.AA", reason: "bad_certificate" },
    {
      name: "one taken back",
      certificate: certificateFor(peer, { roles: ["exit"] }),
      network: { ...network, isRevoked: () => true },
      reason: "revoked",
    },
  ];
  for (const row of rows) {
    const request = goodRequest({ certificate: row.certificate });
    assertEquals(refusalOfAuth(request, checkWith({ network: row.network ?? network })), row.reason, row.name);
  }
});

Deno.test("nothing that passes the schema makes the check throw", () => {
  const good = goodRequest();
  for (const field of ["publicKey", "wireguardKey", "signature", "wireguardSignature", "nonce"] as const) {
    for (const value of ["", "=", "é", "A".repeat(44), "A".repeat(88)]) {
      const request = { ...good, [field]: value };
      assert(typeof refusalOfAuth(request, checkWith()) === "string", `${field} ${value}`);
      assertEquals(authRequestSchema.safeParse(request).success, false, `${field} ${value}`);
    }
  }
});

function answerTo(request: AuthRequest, change: Partial<AuthAccepted> = {}): AuthAccepted {
  const options = { region: "eu", serverTimeMs: WALL_MS, pingEveryMs: 10_000, timeoutMs: 30_000 };
  return { ...makeAuthAnswer(request, supernode, options), ...change };
}

Deno.test("an answer proves that the supernode the request was meant for has seen it", () => {
  const request = goodRequest();
  const good = answerTo(request, { relayToken: "0123456789abcdef" });
  const forStranger = { ...goodRequest({}, stranger), nonce: request.nonce };
  const check = { wallMs: WALL_MS, primitives };
  assertEquals(parseControl(encodeControl(good)), { ok: true, message: good });
  assertEquals(refusalOfAuthAnswer(good, request, check), undefined);
  const rows: { name: string; answer: AuthAccepted; reason: string }[] = [
    { name: "to an earlier request", answer: answerTo(goodRequest()), reason: "bad_signature" },
    { name: "to another peer", answer: answerTo(forStranger), reason: "bad_signature" },
    { name: "for another region than was signed", answer: { ...good, region: "us" }, reason: "bad_signature" },
    { name: "by another supernode", answer: { ...good, supernodeId: stranger.peerId }, reason: "wrong_supernode" },
    {
      name: "with another key",
      answer: { ...good, publicKey: encodeBase64(stranger.publicKey) },
      reason: "wrong_supernode",
    },
  ];
  for (const { name, answer, reason } of rows) assertEquals(refusalOfAuthAnswer(answer, request, check), reason, name);
});

Deno.test("in a closed network a supernode shows its certificate too", () => {
  const request = goodRequest();
  const check = { wallMs: WALL_MS, primitives, network: closedNetwork };
  const withCertificate = (certificate: string) => answerTo(request, { certificate });
  const rows = [
    {
      name: "its own",
      answer: withCertificate(certificateFor(supernode, { roles: ["supernode"] })),
      reason: undefined,
    },
    { name: "none", answer: answerTo(request), reason: "no_certificate" },
    {
      name: "an exit's",
      answer: withCertificate(certificateFor(supernode, { roles: ["exit"] })),
      reason: "bad_certificate",
    },
    {
      name: "another's",
      answer: withCertificate(certificateFor(stranger, { roles: ["supernode"] })),
      reason: "bad_certificate",
    },
  ];
  for (const { name, answer, reason } of rows) assertEquals(refusalOfAuthAnswer(answer, request, check), reason, name);
});

Deno.test("no two requests have the same nonce", () => {
  assertNotEquals(goodRequest().nonce, goodRequest().nonce);
});
