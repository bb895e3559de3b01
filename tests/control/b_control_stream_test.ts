/** Step B of the operational spec: the persistent stream, opened with AuthRequest and AuthResponse. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { refusalOfAuthAnswer } from "../../protocol/control/auth.ts";
import type { AuthRefusal, AuthRequest, ControlMessage } from "../../protocol/control/messages.ts";
import type { Identity } from "../../protocol/identity.ts";
import { admin, Network, type Started } from "../fixtures/control_network.ts";
import { authOf, newIdentity, RawStream } from "./fixtures/raw_stream.ts";

async function rolesAt(at: Started): Promise<string[]> {
  const { streams } = await admin(at, "GET", "/v1/streams");
  return streams.map(({ role }: { role: string }) => role).sort();
}

/** Lets a peer in, and gives its stream. */
async function opened(at: Started, identity: Identity): Promise<RawStream> {
  const stream = await RawStream.open(at);
  stream.say(authOf(identity, at));
  const answer = await stream.hear();
  assert(answer?.type === "auth.response" && answer.ok);
  return stream;
}

Deno.test("B: who shows who it is gets an answer in which the supernode does the same, and its stream is registered", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  await using stream = await RawStream.open(here);
  const request = authOf(newIdentity(), here);
  stream.say(request);
  const answer = await stream.hear();
  assert(answer?.type === "auth.response" && answer.ok);
  assertEquals(refusalOfAuthAnswer(answer, request, { wallMs: Date.now(), primitives: hostPrimitives() }), undefined);
  assertEquals(await rolesAt(here), ["exit"]);
  assertStringIncludes(await here.metrics(), 'active_streams_total{role="exit"} 1');
});

const refusals: readonly (readonly [what: string, reason: AuthRefusal, say: (at: Started) => ControlMessage])[] = [
  ["a first message that is no AuthRequest", "wrong_first_message", () => ({ type: "ping", sequence: 1 })],
  ["a signature that somebody else has made", "bad_signature", (at) => {
    const { signature } = authOf(newIdentity(), at);
    return { ...authOf(newIdentity(), at), signature } satisfies AuthRequest;
  }],
  ["another's id", "wrong_peer_id", (at) => ({ ...authOf(newIdentity(), at), peerId: newIdentity().peerId })],
  ["an old time", "stale", (at) => authOf(newIdentity(), at, { timestampMs: Date.now() - 120_000 })],
];
for (const [what, reason, say] of refusals) {
  Deno.test(`B: ${what} is refused, counted, and the stream closed`, async () => {
    await using network = new Network();
    const here = await network.startSupernode("north");
    await using stream = await RawStream.open(here);
    stream.say(say(here));
    const answer = await stream.hear();
    assert(answer?.type === "auth.response" && !answer.ok);
    assertEquals([answer.reason, await stream.closed], [reason, 1008]);
    assertEquals(await rolesAt(here), []);
    assertStringIncludes(await here.metrics(), `stream_auth_failures_total{reason="${reason}"} 1`);
  });
}

Deno.test("B: of two streams of one identity the newest is the registered one, and the other is told", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  const identity = newIdentity();
  await using older = await opened(here, identity);
  await using newer = await opened(here, identity);
  assertEquals(await older.hear(), { type: "error", code: "replaced" });
  await older.closed;
  assertEquals(await rolesAt(here), ["exit"]);
  newer.say({ type: "ping", sequence: 7 });
  assertEquals((await newer.hear())?.type, "pong");
});
