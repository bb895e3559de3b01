import { assert, assertEquals } from "@std/assert";
import type { FakeSource } from "./fixtures/fake_source.ts";
import { Told } from "./fixtures/told.ts";

/** The one session there is, its exit, and the other exit. */
function onlySession(source: FakeSource) {
  const [session] = source.sessions.values();
  const client = source.of("client")[0]!;
  const exits = source.of("exit");
  const at = exits.find(({ peerId }) => peerId === session!.exitPeerId)!;
  const other = exits.find(({ peerId }) => peerId !== session!.exitPeerId)!;
  return { session: session!, client, at, other };
}

Deno.test("a session that goes on at another exit is told from where to where, though the first exit is gone", () => {
  const told = new Told({ exits: 2, clients: 1 });
  const { source } = told;
  const [session] = source.sessions.values();
  const name = (peerId: string) => source.peers.get(peerId)!.name!;
  const from = name(session!.exitPeerId!);
  const exit = source.of("exit").find(({ peerId }) => peerId !== session!.exitPeerId)!;
  source.peers.delete(session!.exitPeerId!);
  assertEquals(told.texts(), [`Exit ${from} went`]);
  const previousSessionId = session!.sessionId;
  const next = source.addSession(source.of("client")[0]!, exit, { previousSessionId, state: "setting_up" });
  assertEquals(told.texts(), [], "the exit has not agreed yet");
  next.state = "active";
  assertEquals(told.texts(), [`The session of client-1 moved from ${from} to ${exit.name}`]);
  source.sessions.delete(session!.sessionId);
  assertEquals(told.texts(), []);
  source.sessions.delete(next.sessionId);
  assertEquals([told.texts(), told.texts()], [[], [`The session of client-1 at ${exit.name} ended`]]);
});

Deno.test("a session that is given another exit under the same id has moved as well", () => {
  const told = new Told({ exits: 2, clients: 1 });
  const [session] = told.source.sessions.values();
  const [one, other] = told.source.of("exit");
  const to = session!.exitPeerId === one!.peerId ? other! : one!;
  session!.exitPeerId = to.peerId;
  const [text] = told.texts();
  assert(text!.startsWith("The session of client-1 moved from exit-") && text!.endsWith(`to ${to.name}`), text);
});

Deno.test("one that ends while another of the same client begins has moved, though neither says so", () => {
  const told = new Told({ exits: 2, clients: 1 });
  const { source } = told;
  const { session, client, at, other } = onlySession(source);
  source.sessions.delete(session.sessionId);
  const { carries } = session;
  const next = source.addSession(client, other, { carries });
  assertEquals(told.texts(), [`The session of client-1 moved from ${at.name} to ${other.name}`]);
  source.sessions.delete(next.sessionId);
  source.addSession(client, other, { carries });
  assertEquals(told.texts(), [`The session of client-1 at ${other.name} began anew`]);
  assertEquals(told.texts(), []);
});

Deno.test("one that begins at the look after the end has moved; later it is another, and the end is told", () => {
  const told = new Told({ exits: 2, clients: 1 });
  const { source } = told;
  const { session, client, at, other } = onlySession(source);
  const { carries } = session;
  source.sessions.delete(session.sessionId);
  assertEquals(told.texts(), []);
  const next = source.addSession(client, other, { carries });
  assertEquals(told.texts(), [`The session of client-1 moved from ${at.name} to ${other.name}`]);
  source.sessions.delete(next.sessionId);
  assertEquals(told.texts(), []);
  const vain = source.addSession(client, at, { carries, state: "requested", exitPeerId: undefined });
  assertEquals(told.texts(), [`The session of client-1 at ${other.name} ended`]);
  vain.exitPeerId = at.peerId;
  vain.state = "active";
  assertEquals(told.texts(), [`A session of client-1 began at ${at.name}`]);
});

Deno.test("tries to move that come to nothing are not told, and neither is a look that misses a session", () => {
  const told = new Told({ exits: 2, clients: 1 });
  const { source } = told;
  const { session, client, other } = onlySession(source);
  for (let tries = 0; tries < 3; tries++) {
    const vain = source.addSession(client, other, { previousSessionId: session.sessionId, state: "setting_up" });
    assertEquals(told.texts(), []);
    source.sessions.delete(vain.sessionId);
    assertEquals(told.texts(), []);
  }
  source.sessions.clear();
  assertEquals(told.texts(), []);
  source.sessions.set(session.sessionId, session);
  assertEquals([told.texts(), told.texts()], [[], []]);
});

Deno.test("a session whose client refuses to move is told to be back, and its end is told when it comes", () => {
  const told = new Told({ exits: 2, clients: 1 });
  const { source } = told;
  const { session, client, at, other } = onlySession(source);
  const { carries, sessionId: previousSessionId } = session;
  session.state = "rotating";
  const refused = source.addSession(client, other, { carries, previousSessionId });
  assertEquals(told.texts(), [`The session of client-1 moved from ${at.name} to ${other.name}`]);
  source.sessions.delete(refused.sessionId);
  session.state = "active";
  assertEquals(told.texts(), [`The session of client-1 moved from ${other.name} to ${at.name}`]);
  source.sessions.clear();
  assertEquals([told.texts(), told.texts()], [[], [`The session of client-1 at ${at.name} ended`]]);
});

Deno.test("one that was being left when it was first seen ends in silence", () => {
  const told = new Told({ exits: 2, clients: 1, sessionShare: 0 });
  const { source, clock } = told;
  const [at, other] = source.of("exit");
  const [client] = source.of("client");
  const old = source.addSession(client!, at!, { carries: "streams", state: "rotating" });
  source.addSession(client!, other!, { carries: "streams", previousSessionId: old.sessionId });
  clock.advance(3_600_000);
  assertEquals(told.texts().length, 2);
  source.sessions.delete(old.sessionId);
  assertEquals([told.texts(), told.texts()], [[], []]);
});

Deno.test("sessions of a client that are of another kind have nothing to do with it", () => {
  const told = new Told({ exits: 2, clients: 1 });
  const { source } = told;
  const { session, client, at, other } = onlySession(source);
  source.sessions.delete(session.sessionId);
  told.texts();
  told.texts();
  const mine = source.addSession(client, at, { carries: "streams" });
  told.texts();
  source.sessions.delete(mine.sessionId);
  source.addSession(client, other, { carries: "packets" });
  source.addSession(client, other, { carries: "streams", isStatic: true });
  const began = `A session of client-1 began at ${other.name}`;
  assertEquals([told.texts(), told.texts()], [[began, began], [`The session of client-1 at ${at.name} ended`]]);
});

Deno.test("what is seen after a long time says nothing of what was there before, unless it says so itself", () => {
  const told = new Told({ exits: 2, clients: 1 });
  const { source, clock } = told;
  const { session, client, at, other } = onlySession(source);
  const { carries } = session;
  source.sessions.delete(session.sessionId);
  const next = source.addSession(client, other, { carries });
  clock.advance(3_600_000);
  assertEquals(told.texts(), [
    `The session of client-1 at ${at.name} ended`,
    `A session of client-1 began at ${other.name}`,
  ]);
  source.sessions.delete(next.sessionId);
  source.addSession(client, at, { carries, previousSessionId: next.sessionId });
  clock.advance(3_600_000);
  assertEquals(told.texts(), [`The session of client-1 moved from ${other.name} to ${at.name}`]);
});

Deno.test("one whose place was taken ends in silence, even with the one that took it", () => {
  const told = new Told({ exits: 2, clients: 1 });
  const { source } = told;
  const { session, client, at, other } = onlySession(source);
  const { carries, sessionId } = session;
  source.addSession(client, other, { carries, previousSessionId: sessionId });
  assertEquals(told.texts(), [`The session of client-1 moved from ${at.name} to ${other.name}`]);
  source.sessions.clear();
  assertEquals([told.texts(), told.texts()], [[], [`The session of client-1 at ${other.name} ended`]]);
});

Deno.test("a session takes the place of one at most, and of none of another client", () => {
  const told = new Told({ exits: 2, clients: 2, sessionShare: 0 });
  const { source } = told;
  const [one, other] = source.of("exit");
  const [first, second] = source.of("client");
  const carries = "streams";
  const old = source.addSession(first!, one!, { carries });
  assertEquals(told.texts(), [`A session of client-1 began at exit-1`]);
  source.sessions.delete(old.sessionId);
  for (const client of [first!, first!, second!]) source.addSession(client, other!, { carries });
  assertEquals(told.texts(), [
    "The session of client-1 moved from exit-1 to exit-2",
    "A session of client-1 began at exit-2",
    "A session of client-2 began at exit-2",
  ]);
  assertEquals(told.texts(), []);
});

Deno.test("one whose place a session takes by its id is not taken by who its client was as well", () => {
  const told = new Told({ exits: 2, clients: 1 });
  const { source } = told;
  const { session, client, at, other } = onlySession(source);
  const { carries, sessionId: previousSessionId } = session;
  const next = source.addSession(client, other, { carries, previousSessionId });
  const moved = `The session of client-1 moved from ${at.name} to ${other.name}`;
  assertEquals(told.texts(), [moved]);
  source.sessions.delete(session.sessionId);
  source.addSession(client, at, { carries: session.carries });
  assertEquals(told.texts(), [`A session of client-1 began at ${at.name}`]);
  source.sessions.delete(next.sessionId);
  assertEquals([told.texts(), told.texts()], [[], [`The session of client-1 at ${other.name} ended`]]);
});
