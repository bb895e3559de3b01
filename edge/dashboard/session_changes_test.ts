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
  const next = source.addSession(source.of("client")[0]!, exit, {
    previousSessionId: session!.sessionId,
    state: "requested",
    exitPeerId: undefined,
  });
  assertEquals(told.texts(), []);
  Object.assign(next, { exitPeerId: exit.peerId, state: "setting_up" });
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
  const next = source.addSession(client, other);
  assertEquals(told.texts(), [`The session of client-1 moved from ${at.name} to ${other.name}`]);
  source.sessions.delete(next.sessionId);
  source.addSession(client, other);
  assertEquals(told.texts(), [`The session of client-1 at ${other.name} began anew`]);
  assertEquals(told.texts(), []);
});

Deno.test("one that begins at the look after the end has moved; later it is another, and the end is told with its time", () => {
  const told = new Told({ exits: 2, clients: 1 });
  const { source, clock } = told;
  const { session, client, at, other } = onlySession(source);
  source.sessions.delete(session.sessionId);
  assertEquals(told.texts(), []);
  const next = source.addSession(client, other, { state: "requested", exitPeerId: undefined });
  assertEquals(told.texts(), []);
  next.exitPeerId = other.peerId;
  assertEquals(told.texts(), [`The session of client-1 moved from ${at.name} to ${other.name}`]);
  source.sessions.delete(next.sessionId);
  const endedAtMs = clock.wallNow();
  assertEquals(told.texts(), []);
  clock.advance(1000);
  const ended = `The session of client-1 at ${other.name} ended`;
  assertEquals(told.lines(), [{ atMs: endedAtMs, tone: "info", text: ended }]);
  source.addSession(client, at);
  assertEquals(told.texts(), [`A session of client-1 began at ${at.name}`]);
});

Deno.test("a session takes the place of one at most, and of none of another client", () => {
  const told = new Told({ exits: 2, clients: 2, sessionShare: 0 });
  const { source } = told;
  const [one, other] = source.of("exit");
  const [first, second] = source.of("client");
  const old = source.addSession(first!, one!);
  assertEquals(told.texts(), [`A session of client-1 began at exit-1`]);
  source.sessions.delete(old.sessionId);
  for (const client of [first!, first!, second!]) source.addSession(client, other!);
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
  const next = source.addSession(client, other, { previousSessionId: session.sessionId });
  const moved = `The session of client-1 moved from ${at.name} to ${other.name}`;
  assertEquals(told.texts(), [moved]);
  source.sessions.delete(session.sessionId);
  source.addSession(client, at);
  assertEquals(told.texts(), [`A session of client-1 began at ${at.name}`]);
  source.sessions.delete(next.sessionId);
  assertEquals([told.texts(), told.texts()], [[], [`The session of client-1 at ${other.name} ended`]]);
});
