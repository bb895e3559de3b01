import { assertEquals } from "@std/assert";
import { candidate, peerId, token } from "../../kv/fixtures/records.ts";
import { createMemorySessions } from "../../kv/sessions.ts";
import type { CommandStatus } from "../../protocol/control/commands.ts";
import type { SessionRecord } from "../../protocol/session.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { CLIENT, ELSEWHERE, SessionRig } from "./fixtures/session_rig.ts";

/** A client with a session at exit 100, and exit 101 beside it; the client says this to ROTATE_PEER. */
async function withSession(rig: SessionRig, says: () => CommandStatus | undefined = () => "applied") {
  const exit = await rig.connectExit(100);
  await rig.connect(CLIENT.peerId, says);
  await rig.requests.grant(CLIENT, {});
  const other = await rig.connectExit(101);
  return { exit, other, session: [...rig.sessions][0]! };
}

function summary(rig: SessionRig): string[] {
  return [...rig.sessions].map(({ state, exit }) => `${state} ${exit?.exit.peerId}`).sort();
}

Deno.test("when an exit has failed its session is at another, and over", async () => {
  using rig = new SessionRig();
  const { exit, other } = await withSession(rig);
  rig.exits.delete(exit);
  rig.rotation.suspect(exit);
  await rig.clock.advanceAsync(500);
  await settle();
  assertEquals(rig.kindsTo(CLIENT.peerId), ["ROTATE_PEER"]);
  assertEquals(summary(rig), [`active ${other}`]);
  assertEquals(rig.kindsTo(exit), ["SETUP_EXIT", "DISCONNECT"]);
});

Deno.test("an exit that is back within its moment keeps its sessions", async () => {
  using rig = new SessionRig();
  const { exit } = await withSession(rig);
  rig.rotation.suspect(exit);
  await rig.clock.advanceAsync(1000);
  assertEquals(summary(rig), [`active ${exit}`]);
});

Deno.test("streams at an exit that drains may go on for as long as the client was told", async () => {
  using rig = new SessionRig();
  const { exit, other } = await withSession(rig);
  rig.rotation.leave(exit, "exit_drains");
  await settle();
  assertEquals(summary(rig), [`active ${other}`, `rotating ${exit}`]);
  assertEquals(rig.kindsTo(exit), ["SETUP_EXIT"]);
  await rig.clock.advanceAsync(30_000);
  assertEquals(summary(rig), [`active ${other}`]);
  assertEquals(rig.kindsTo(exit), ["SETUP_EXIT", "DISCONNECT"]);
});

Deno.test("an exit that the client did not want when it asked is better than none", async () => {
  using rig = new SessionRig();
  await rig.connect(CLIENT.peerId, () => "applied");
  const present = await rig.connectExit(100);
  const left = await rig.connectExit(101);
  await rig.requests.grant(CLIENT, { exclude: [left] });
  rig.rotation.leave(present, "exit_drains");
  await settle();
  assertEquals(summary(rig), [`active ${left}`, `rotating ${present}`]);
});

Deno.test("a client that will not go keeps its session, and the new one ends", async () => {
  using rig = new SessionRig();
  const { exit, other } = await withSession(rig, () => "failed");
  rig.rotation.leave(exit, "exit_drains");
  await settle();
  assertEquals(summary(rig), [`active ${exit}`]);
  assertEquals(rig.kindsTo(other), ["SETUP_EXIT", "DISCONNECT"]);
});

Deno.test("a session at an exit that only drains is not given up for want of another", async () => {
  using rig = new SessionRig();
  const { exit, other } = await withSession(rig);
  rig.exits.delete(other);
  rig.exits.set(exit, { ...candidate(100), health: 0 });
  rig.draining.add(exit);
  rig.rotation.leave(exit, "exit_drains");
  await rig.clock.advanceAsync(60_000);
  rig.rotation.suspect(exit); // its data link was lost for a moment, say
  await rig.clock.advanceAsync(60_000);
  assertEquals(summary(rig), [`active ${exit}`]);
});

Deno.test("a session whose exit has failed and stays away is given up when there is no other", async () => {
  using rig = new SessionRig();
  const { exit, other } = await withSession(rig);
  rig.exits.clear();
  rig.rotation.leave(exit, "exit_failed");
  await rig.clock.advanceAsync(60_000);
  assertEquals([summary(rig), rig.kindsTo(other)], [[], []]);
});

Deno.test("a rotation that a restart has interrupted goes on, and the client is told under the same id", async () => {
  using rig = new SessionRig();
  const { exit, other, session } = await withSession(rig);
  await rig.requests.grant(CLIENT, { exclude: [exit] }, { previous: session });
  const next = [...rig.sessions].find((record) => record.exit?.exit.peerId === other)!;
  await rig.sessions.advance(session.sessionId, { kind: "rotate", nextSessionId: next.sessionId });
  await rig.rotation.restore();
  await settle();
  assertEquals(rig.sent.at(-1)!.command.commandId, next.sessionId);
  await rig.clock.advanceAsync(30_000);
  assertEquals(summary(rig), [`active ${other}`]);
});

Deno.test("a session that was set up for a rotation which a restart kept from beginning is ended", async () => {
  using rig = new SessionRig();
  const { exit, other, session } = await withSession(rig);
  await rig.requests.grant(CLIENT, { exclude: [exit] }, { previous: session });
  assertEquals(summary(rig).length, 2);
  await rig.rotation.restore();
  await settle();
  assertEquals([summary(rig), rig.kindsTo(other)], [[`active ${exit}`], ["SETUP_EXIT", "DISCONNECT"]]);
});

Deno.test("a rotation whose client does not answer does not keep the supernode from stopping", async () => {
  using rig = new SessionRig();
  const { exit } = await withSession(rig, () => undefined);
  rig.rotation.leave(exit, "exit_failed");
  await settle();
  assertEquals(rig.kindsTo(CLIENT.peerId), ["ROTATE_PEER"]);
  rig.rotation[Symbol.dispose]();
  await rig.rotation.closed();
});

Deno.test("a rotation to a session that did not survive the restart is forgotten", async () => {
  using rig = new SessionRig();
  const { exit, session } = await withSession(rig);
  await rig.sessions.advance(session.sessionId, { kind: "rotate", nextSessionId: token(9) });
  await rig.rotation.restore();
  await settle();
  assertEquals(summary(rig), [`active ${exit}`]);
});

Deno.test("every session of another supernode's clients is named when their exit fails", async () => {
  using rig = new SessionRig({ maxSessions: 100_000 });
  const exit = await rig.connectExit(100);
  const base: SessionRecord = {
    sessionId: token(0),
    state: "active",
    clientPeerId: CLIENT.peerId,
    clientWireguardKey: CLIENT.wireguardKey,
    clientSupernodeId: ELSEWHERE,
    wish: {},
    exit: candidate(100),
    candidates: [],
    failed: [],
    createdAtMs: 0,
    updatedAtMs: 0,
    expiresAtMs: rig.clock.wallNow() + 3_600_000,
    revision: 0,
  };
  for (let number = 0; number < 2500; number++) rig.sessions.add({ ...base, sessionId: token(number) });
  rig.sessions.add({ ...base, sessionId: token(3000), clientSupernodeId: peerId(9002) });
  rig.rotation.leave(exit, "exit_failed");
  assertEquals(rig.notices.map(({ sessionIds }) => sessionIds.length), [1024, 1024, 452, 1]);
});

Deno.test("a session is moved another time when the store has failed in the middle, and nothing is left of the first", async () => {
  const clock = new FakeClock();
  const store = createMemorySessions(clock);
  let isFailing = true;
  const save = (record: SessionRecord) =>
    isFailing && record.state === "rotating" ? Promise.reject(new Error("no room")) : store.save(record);
  using rig = new SessionRig({ store: { ...store, save } });
  const { exit, other } = await withSession(rig);
  rig.rotation.leave(exit, "exit_failed");
  await settle();
  assertEquals([summary(rig), rig.kindsTo(other)], [[`active ${exit}`], ["SETUP_EXIT", "DISCONNECT"]]);
  isFailing = false;
  rig.rotation.leave(exit, "exit_failed");
  await settle();
  assertEquals(summary(rig), [`active ${other}`]);
});
