import { assertEquals } from "@std/assert";
import { token } from "../../kv/fixtures/records.ts";
import { MAX_SESSIONS } from "../../protocol/control/messages.ts";
import { FakeRelay } from "../fixtures/fake_relay.ts";
import { CLIENT, ELSEWHERE, grants, SessionRig } from "./fixtures/session_rig.ts";
import { answerRequest, type InfoRequestDeps } from "./info_requests.ts";

/** What a client that has these sessions asks for, and which of them it may keep. */
async function ask(rig: SessionRig, held: readonly string[] | undefined): Promise<string[]> {
  const deps = {
    requests: rig.requests,
    sessions: rig.sessions,
    isHere: () => true,
    leave: (sessionId) => rig.sessions.advance(sessionId, { kind: "end", reason: "client_left" }),
  } as Partial<InfoRequestDeps> as InfoRequestDeps;
  const peer = { ...CLIENT, role: "client" as const, region: "eu", certificate: undefined };
  const before = [...rig.sessions].map(({ sessionId }) => sessionId);
  const request = { type: "info.request", requestId: "A".repeat(22), what: "exit", wish: {} } as const;
  const answer = await answerRequest(peer as never, { ...request, ...(held && { held: [...held] }) }, deps);
  assertEquals(answer.what, "exit");
  return before.filter((sessionId) => rig.sessions.find(sessionId));
}

Deno.test("a session that its client has not heard of ends when it asks for another", async () => {
  using rig = new SessionRig();
  await rig.connectExit(100);
  await rig.requests.grant(CLIENT, {});
  await rig.requests.grant(CLIENT, {});
  const [first, second] = [...rig.sessions].map(({ sessionId }) => sessionId);
  assertEquals(await ask(rig, undefined), [first!, second!]);
  assertEquals((await ask(rig, [second!])).includes(first!), false);
  assertEquals(rig.sessions.find(second!)?.state, "active");
});

Deno.test("a static session, of which nobody has ever heard, does not", async () => {
  using rig = new SessionRig({ carriers: { relay: new FakeRelay() } });
  await rig.connectExit(100, grants);
  await rig.requests.grant(CLIENT, { carries: "packets" }, { staticUntilMs: rig.clock.wallNow() + 86_400_000 });
  assertEquals((await ask(rig, [])).length, 1);
});

Deno.test("a session that its client is about to be told of does not", async () => {
  using rig = new SessionRig();
  const exit = await rig.connectExit(100);
  await rig.requests.grant(CLIENT, {});
  await rig.connectExit(101);
  const [present] = rig.sessions;
  await rig.requests.grant(CLIENT, { exclude: [exit] }, { previous: present });
  const kept = await ask(rig, [present!.sessionId]);
  assertEquals(kept.length, 2);
});

Deno.test("sessions that another supernode says a client has here neither hide its own nor use up its share", async () => {
  using rig = new SessionRig({ maxSessions: 10_000 });
  const exitPeerId = await rig.connectExit(100);
  for (let number = 0; number < MAX_SESSIONS; number++) {
    await rig.hosted.setUp({
      sessionId: token(number),
      commandId: token(5000 + number),
      exitPeerId,
      clientPeerId: CLIENT.peerId,
      clientWireguardKey: CLIENT.wireguardKey,
      expiresAtMs: rig.clock.wallNow() + 3_600_000,
      timeoutMs: 4_000,
    }, ELSEWHERE);
  }
  const grant = await rig.requests.grant(CLIENT, {});
  const deps = { sessions: rig.sessions } as Partial<InfoRequestDeps> as InfoRequestDeps;
  const peer = { ...CLIENT, role: "client" as const, region: "eu", certificate: undefined };
  const request = { type: "info.request", requestId: "A".repeat(22), what: "sessions" } as const;
  const answer = await answerRequest(peer as never, request, deps);
  assertEquals(answer.what === "sessions" && answer.sessionIds, grant.ok && [grant.offer.sessionId]);
});
