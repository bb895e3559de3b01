/**
 * A closed network at its doors: the control stream, the API between supernodes, base, and what is offered to a client.
 * Whoever has no certificate that fits is told so, with what is wrong with it.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Asker, startBase } from "../edge/fixtures/directory.ts";
import { refusalOfAuthAnswer } from "../protocol/control/auth.ts";
import { peerKeysOf, refusalOfPeerKeys } from "../protocol/control/peer_keys.ts";
import { signRequest } from "../protocol/http_signature.ts";
import { PEERING_PATHS } from "../roles/supernode/peering_schema.ts";
import { AttackedSupernode, newIdentity, primitives, random } from "./fixtures/attacked_supernode.ts";
import { badCertificates, certify, closed, networkPublicKey } from "./fixtures/closed_network.ts";

const me = newIdentity();
const wallMs = startBase().deps.clock.wallNow();

function startClosed(): Promise<AttackedSupernode> {
  const identity = newIdentity();
  const certificate = certify({ peerId: identity.peerId, nowMs: wallMs });
  return AttackedSupernode.start({ identity, network: closed, certificate: () => certificate });
}

for (const { name, refusal, make } of badCertificates) {
  const code = refusal ? "bad_certificate" : "no_certificate";

  Deno.test(`no control stream with ${name}`, async () => {
    await using at = await startClosed();
    const stranger = await at.dial();
    stranger.say(at.auth(me, { certificate: make(me.peerId, wallMs) }));
    const told = await stranger.next();
    assert(told?.type === "auth.response" && !told.ok);
    assertEquals([told.reason, told.certificate, await stranger.closed], [code, refusal, 1008]);
    assertStringIncludes(await at.metrics.text(), `stream_auth_failures_total{reason="${code}"} 1`);
    await at.join(me, { certificate: certify({ peerId: me.peerId, nowMs: wallMs, region: "north" }) });
  });

  // A supernode may be asked by those of other regions: its own is not part of the question.
  if (refusal !== "wrong_region") {
    Deno.test(`no answer to a supernode with ${name}`, async () => {
      await using at = await startClosed();
      const ask = (certificate: string | undefined) => fetch(peeringRequest(at, certificate));
      const response = await ask(make(me.peerId, wallMs));
      const problem = await response.json();
      assertEquals([response.status, problem.code], [403, code]);
      assertStringIncludes(problem.detail, refusal ?? "a supernode's certificate is needed");
      const metric = `peering_requests_total{operation="tokens",result="${code}"} 1`;
      assertStringIncludes(await at.metrics.text(), metric);
      const good = await ask(certify({ peerId: me.peerId, nowMs: wallMs, roles: ["supernode"] }));
      assertEquals([good.status, typeof (await good.json()).relayToken], [200, "string"]);
    });
  }

  Deno.test(`no registration at base with ${name}`, async () => {
    const base = startBase({ networkPublicKey });
    const asker = new Asker(1);
    const certificate = make(asker.id, wallMs);
    const registration = asker.supernode({ region: "north", ...(certificate !== undefined && { certificate }) });
    const { status, body } = await asker.post(base, "/v1/supernodes", registration);
    assertEquals([status, body.code], [403, code]);
    assertStringIncludes(String(body.detail), refusal ?? "a certificate for supernode is needed");
  });

  Deno.test(`no belief in an exit with ${name}`, () => {
    let told: string | undefined;
    const given = peerKeysOf(me, make(me.peerId, wallMs));
    const check = { role: "exit", region: "north", wallMs, primitives, network: closed } as const;
    assertEquals(refusalOfPeerKeys(given, { ...check, onBadCertificate: (refusal) => told = refusal }), code);
    assertEquals(told, refusal);
  });

  Deno.test(`no belief in a supernode with ${name}`, async () => {
    const identity = newIdentity();
    const certificate = make(identity.peerId, wallMs);
    await using at = await AttackedSupernode.start({
      identity,
      network: closed,
      ...(certificate !== undefined && { certificate: () => certificate }),
    });
    const request = at.auth(me, { certificate: certify({ peerId: me.peerId, nowMs: wallMs }) });
    const peer = await at.dial();
    peer.say(request);
    const answer = await peer.next();
    assert(answer?.type === "auth.response" && answer.ok);
    let told: string | undefined;
    const check = { wallMs, primitives, network: closed, onBadCertificate: (refusal: string) => told = refusal };
    assertEquals([refusalOfAuthAnswer(answer, request, check), told], [code, refusal]);
  });
}

function peeringRequest(at: AttackedSupernode, certificate: string | undefined): Request {
  const url = at.url + PEERING_PATHS.tokens;
  const body = new TextEncoder().encode("{}");
  const tools = { signer: me, recipient: at.identity.peerId, wallNowMs: wallMs, random, primitives };
  const signed = signRequest({ method: "POST", url }, body, tools);
  const headers = { ...signed, "content-type": "application/json" };
  return new Request(url, {
    method: "POST",
    headers: certificate === undefined ? headers : { ...headers, "culvert-certificate": certificate },
    body,
  });
}

Deno.test("whose certificate ends is told so and put out, with its data links", async () => {
  await using at = await startClosed();
  const certificate = certify({ peerId: me.peerId, nowMs: wallMs, notAfterMs: wallMs + 20_000 });
  const { stream, relayToken } = await at.join(me, { certificate });
  using link = await at.dialRelay(relayToken);
  await at.pass(19_000);
  stream.say({ type: "ping", sequence: 1 });
  assertEquals((await stream.next())?.type, "pong");
  await at.pass(2_000);
  const told = await stream.next();
  assertEquals([told?.type === "error" && told.code, await stream.closed], ["expired", 1008]);
  await link.ended;
  assertStringIncludes(await at.metrics.text(), 'control_messages_rejected_total{reason="expired"} 1');
});
