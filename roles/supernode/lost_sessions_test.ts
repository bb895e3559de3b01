import { assertEquals } from "@std/assert";
import { candidate, peerId, token } from "../../kv/fixtures/records.ts";
import { settle } from "../../testing/fake_clock.ts";
import { CLIENT, ELSEWHERE, SessionRig } from "./fixtures/session_rig.ts";

function summary(rig: SessionRig): string[] {
  return [...rig.sessions].map(({ state, exit }) => `${state} ${exit?.exit.peerId}`).sort();
}

/** An exit that serves a client of ours and one of another supernode's. */
async function withSessions(rig: SessionRig): Promise<string> {
  const exit = await rig.connectExit(100);
  await rig.connect(CLIENT.peerId);
  await rig.requests.grant(CLIENT, {});
  await rig.hosted.setUp({
    sessionId: token(5),
    commandId: token(6),
    clientPeerId: peerId(2),
    clientWireguardKey: CLIENT.wireguardKey,
    expiresAtMs: rig.clock.wallNow() + 3_600_000,
    exitPeerId: exit,
    timeoutMs: 5000,
  }, ELSEWHERE);
  assertEquals(summary(rig), [`active ${exit}`, `active ${exit}`]);
  return exit;
}

/** Which sessions exits have been told to serve, and by which commands. */
function setUps(rig: SessionRig): string[] {
  return rig.sent.filter(({ command }) => command.kind === "SETUP_EXIT")
    .map(({ command: { sessionId, commandId } }) => `${sessionId} ${commandId}`).sort();
}

Deno.test("an exit that has lost its memory is told again of each session it serves, and they go on", async () => {
  using rig = new SessionRig();
  const exit = await withSessions(rig);
  const before = setUps(rig);
  rig.sent.length = 0;
  await rig.connectExit(100);
  await settle();
  assertEquals(setUps(rig), before, "by the same commands");
  assertEquals(summary(rig), [`active ${exit}`, `active ${exit}`]);
  assertEquals([rig.kindsTo(CLIENT.peerId), rig.notices], [[], []], "nobody else notices");
});

Deno.test("what an exit that has lost its memory does not take back goes elsewhere, or ends", async () => {
  using rig = new SessionRig();
  await withSessions(rig);
  const other = candidate(101).exit.peerId;
  await rig.connectExit(101);
  await rig.connectExit(100, () => "failed");
  await rig.clock.advanceAsync(30_000);
  assertEquals(summary(rig), [`active ${other}`]);
  assertEquals(rig.kindsTo(CLIENT.peerId), ["ROTATE_PEER"]);
  assertEquals(rig.notices.map(({ sessionIds }) => sessionIds), [[token(5)]]);
});

Deno.test("a client that has lost its memory is told nothing: it sees to its sessions itself", async () => {
  using rig = new SessionRig();
  const exit = await withSessions(rig);
  const other = await rig.connectExit(101);
  rig.rotation.leave(exit, "exit_drains");
  await settle();
  assertEquals(rig.kindsTo(CLIENT.peerId), ["ROTATE_PEER"]);
  await rig.connect(CLIENT.peerId);
  await settle();
  assertEquals(rig.kindsTo(CLIENT.peerId), ["ROTATE_PEER"]);
  assertEquals(summary(rig).filter((line) => line === `active ${other}`).length, 1);
});

Deno.test("a session that its exit has let go of ends when there is no other exit for a minute", async () => {
  using rig = new SessionRig();
  await withSessions(rig);
  rig.exits.clear();
  const [own] = [...rig.sessions].filter((record) => rig.sessions.isOwn(record));
  await rig.lost.endedByExit(own!.sessionId, "policy");
  await rig.clock.advanceAsync(30_000);
  assertEquals(rig.sessions.find(own!.sessionId)?.state, "active");
  await rig.clock.advanceAsync(40_000);
  assertEquals(rig.sessions.find(own!.sessionId), undefined);
  assertEquals(rig.kindsTo(CLIENT.peerId), ["DISCONNECT"]);
});

Deno.test("a client of another supernode is shown again to be itself", async () => {
  using rig = new SessionRig();
  const clientProof = { publicKey: CLIENT.publicKey, wireguardSignature: CLIENT.wireguardSignature };
  const exit = await rig.connectExit(100);
  await rig.hosted.setUp({
    sessionId: token(5),
    commandId: token(6),
    clientPeerId: CLIENT.peerId,
    clientWireguardKey: CLIENT.wireguardKey,
    clientProof,
    expiresAtMs: rig.clock.wallNow() + 3_600_000,
    exitPeerId: exit,
    timeoutMs: 5000,
  }, ELSEWHERE);
  await rig.lost.forgottenBy(exit);
  const proofs = rig.sent.map(({ command }) => command.kind === "SETUP_EXIT" && command.payload.clientProof);
  assertEquals(proofs, [clientProof, clientProof]);
});
