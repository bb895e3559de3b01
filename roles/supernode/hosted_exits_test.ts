import { assertEquals } from "@std/assert";
import { peerId, token } from "../../kv/fixtures/records.ts";
import { createMemorySessions } from "../../kv/sessions.ts";
import type { ExitSetupRequest } from "../../protocol/directory.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { CLIENT, ELSEWHERE, SessionRig } from "./fixtures/session_rig.ts";

function setupOf(rig: SessionRig, changes: Partial<ExitSetupRequest> = {}): ExitSetupRequest {
  return {
    sessionId: token(1),
    commandId: token(50),
    exitPeerId: peerId(100),
    clientPeerId: CLIENT.peerId,
    clientWireguardKey: CLIENT.wireguardKey,
    expiresAtMs: rig.clock.wallNow() + 3_600_000,
    timeoutMs: 4_000,
    ...changes,
  };
}

Deno.test("a session that is set up twice at once is set up once, and both who asked are told", async () => {
  using rig = new SessionRig();
  const exit = await rig.connectExit(100);
  const request = setupOf(rig);
  const answers = await Promise.all([rig.hosted.setUp(request, ELSEWHERE), rig.hosted.setUp(request, ELSEWHERE)]);
  assertEquals(answers.map(({ status }) => status), ["applied", "applied"]);
  assertEquals(await rig.hosted.setUp(request, ELSEWHERE), { status: "applied" });
  assertEquals(rig.kindsTo(exit), ["SETUP_EXIT"]);
  assertEquals(rig.states, ["active"]);
});

Deno.test("another supernode can neither set up nor end a session", async () => {
  using rig = new SessionRig();
  await rig.connectExit(100);
  await rig.hosted.setUp(setupOf(rig), ELSEWHERE);
  const stranger = peerId(9002);
  assertEquals((await rig.hosted.setUp(setupOf(rig), stranger)).code, "not_yours");
  await rig.hosted.end({ sessionId: token(1), reason: "admin" }, stranger);
  assertEquals(rig.states, ["active"]);
});

Deno.test("a session's id does not serve for another client or exit", async () => {
  using rig = new SessionRig();
  await rig.connectExit(100);
  const other = await rig.connectExit(101);
  await rig.hosted.setUp(setupOf(rig), ELSEWHERE);
  for (const changes of [{ exitPeerId: other }, { clientPeerId: peerId(2) }]) {
    const { code } = await rig.hosted.setUp(setupOf(rig, { ...changes, commandId: token(51) }), ELSEWHERE);
    assertEquals(code, "other_session");
  }
  assertEquals(rig.kindsTo(other), []);
});

Deno.test("what ends while its exit is being told is let go of by the exit", async () => {
  using rig = new SessionRig();
  const exit = await rig.connectExit(100);
  const setUp = rig.hosted.setUp(setupOf(rig), ELSEWHERE);
  await rig.hosted.end({ sessionId: token(1), reason: "client_left" }, ELSEWHERE);
  assertEquals(await setUp, { status: "failed", code: "ended" });
  await settle();
  assertEquals([rig.kindsTo(exit), rig.states], [["SETUP_EXIT", "DISCONNECT"], []]);
});

Deno.test("one supernode cannot take up all the sessions there may be, nor one for ever", async () => {
  using rig = new SessionRig({ maxSessions: 8 });
  await rig.connectExit(100);
  const setUp = (number: number, supernodeId: string) =>
    rig.hosted.setUp(setupOf(rig, { sessionId: token(number), commandId: token(100 + number) }), supernodeId);
  assertEquals([(await setUp(1, ELSEWHERE)).status, (await setUp(2, ELSEWHERE)).status], ["applied", "applied"]);
  assertEquals((await setUp(3, ELSEWHERE)).status, "busy");
  assertEquals((await setUp(4, peerId(9002))).status, "applied");
  await rig.hosted.end({ sessionId: token(1), reason: "client_left" }, ELSEWHERE);
  const expiresAtMs = rig.clock.wallNow() + 10 * 86_400_000;
  assertEquals((await rig.hosted.setUp(setupOf(rig, { expiresAtMs }), ELSEWHERE)).code, "too_long");
});

Deno.test("an exit that does not answer is not waited for longer than anybody listens", async () => {
  using rig = new SessionRig();
  await rig.connectExit(100, () => undefined);
  const setUp = rig.hosted.setUp(setupOf(rig, { timeoutMs: 86_400_000 }), ELSEWHERE);
  await settle();
  await rig.clock.advanceAsync(7_999);
  rig.expire(peerId(100));
  await settle();
  assertEquals(rig.states, ["setting_up"]);
  await rig.clock.advanceAsync(1);
  rig.expire(peerId(100));
  assertEquals((await setUp).status, "unanswered");
  assertEquals(rig.states, []);
});

Deno.test("when the store fails after the exit has said yes, the exit lets go of it", async () => {
  const clock = new FakeClock();
  const store = createMemorySessions(clock);
  let saves = 0;
  using rig = new SessionRig({
    store: { ...store, save: (record) => ++saves === 2 ? Promise.reject(new Error("no room")) : store.save(record) },
  });
  const exit = await rig.connectExit(100);
  const outcome = await rig.hosted.setUp(setupOf(rig), ELSEWHERE).catch((error) => error.message);
  await settle();
  assertEquals([outcome, rig.states, rig.kindsTo(exit)], ["no room", [], ["SETUP_EXIT", "DISCONNECT"]]);
});
