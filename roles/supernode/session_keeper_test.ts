import { assertEquals } from "@std/assert";
import { candidate } from "../../kv/fixtures/records.ts";
import { silentLog } from "../../protocol/log.ts";
import { CLIENT, ELSEWHERE, SessionRig } from "./fixtures/session_rig.ts";
import { SessionKeeper } from "./session_keeper.ts";

/** A keeper that runs over a session at exit 100, and what it has done. */
async function setUp(rig: SessionRig, options: { readonly end?: () => Promise<void> } = {}) {
  const ended: string[] = [];
  const checked: string[] = [];
  const connected = new Set([CLIENT.peerId]);
  const stop = new AbortController();
  const keeper = new SessionKeeper({
    sessions: rig.sessions,
    clock: rig.clock,
    log: silentLog,
    clientGraceMs: 60_000,
    isConnected: (peerId) => connected.has(peerId),
    async end(sessionId, reason) {
      ended.push(reason);
      rig.sessions.forget(sessionId);
      await options.end?.();
    },
    checkExit: (exitPeerId) => checked.push(exitPeerId),
  });
  const exit = await rig.connectExit(100);
  await rig.requests.grant(CLIENT, {});
  const running = keeper.run(stop.signal);
  return {
    ended,
    checked,
    connected,
    exit,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

Deno.test("a session ends when its client has been away for the time it is given, and not while it comes and goes", async () => {
  using rig = new SessionRig();
  await using kept = await setUp(rig);
  kept.connected.delete(CLIENT.peerId);
  await rig.clock.advanceAsync(50_000);
  kept.connected.add(CLIENT.peerId);
  await rig.clock.advanceAsync(10_000);
  kept.connected.delete(CLIENT.peerId);
  await rig.clock.advanceAsync(60_000);
  assertEquals(kept.ended, []);
  await rig.clock.advanceAsync(10_000);
  assertEquals(kept.ended, ["client_left"]);
});

Deno.test("a session ends when its time has passed, also when ending another fails", async () => {
  using rig = new SessionRig();
  await using kept = await setUp(rig, { end: () => Promise.reject(new Error("no room")) });
  await rig.requests.grant(CLIENT, {});
  await rig.clock.advanceAsync(12 * 3_600_000 + 5_000);
  assertEquals(kept.ended, ["expired", "expired"]);
});

Deno.test("exits of this supernode that have sessions are looked at, others are not", async () => {
  using rig = new SessionRig();
  await using kept = await setUp(rig);
  rig.candidatesElsewhere = [{ ...candidate(110), supernodeId: ELSEWHERE }];
  await rig.requests.grant(CLIENT, { exclude: [kept.exit] });
  await rig.clock.advanceAsync(5_000);
  assertEquals([rig.states, kept.checked], [["active", "active"], [kept.exit]]);
});
