import { assert, assertEquals, assertRejects } from "@std/assert";
import { candidate, peerId } from "../../kv/fixtures/records.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { peerKeysOf } from "../../protocol/control/peer_keys.ts";
import type { PeerKeys } from "../../protocol/fields.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import type { ExitSetupRequest } from "../../protocol/directory.ts";
import { silentLog } from "../../protocol/log.ts";
import { settle } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { FakeRelay, FakeTerminatingRelay } from "../fixtures/fake_relay.ts";
import { ELSEWHERE, GRANT, grants, SessionRig } from "./fixtures/session_rig.ts";
import { SessionKeeper } from "./session_keeper.ts";

const DAY_MS = 86_400_000;

function stockKeys(seed = 1): PeerKeys {
  return peerKeysOf(new Identity(generateSecrets(new SeededRandom(seed)), hostPrimitives()));
}

function makeRig({ portCount = 100 } = {}) {
  const relay = new FakeRelay({ portCount });
  const terminating = new FakeTerminatingRelay();
  return { relay, rig: new SessionRig({ carriers: { relay, terminating } }) };
}

async function grantStatic(
  rig: SessionRig,
  { exitPeerId, ...wish }: { exitPeerId?: string; relay?: "terminate" } = {},
): Promise<string> {
  const grant = await rig.statics.grant({ keys: stockKeys(), wish, days: 366, exitPeerId });
  assert(grant.ok);
  return grant.offer.sessionId;
}

Deno.test("a static session lasts as long as was asked for, and stays while nobody is connected for it", async () => {
  const { relay, rig } = makeRig();
  using _rig = rig;
  await rig.connectExit(100, grants);
  const sessionId = await grantStatic(rig);
  const record = rig.sessions.find(sessionId)!;
  assertEquals([record.isStatic, record.expiresAtMs - rig.clock.wallNow()], [true, 366 * DAY_MS]);
  const stop = new AbortController();
  const keeper = new SessionKeeper({
    ...{ sessions: rig.sessions, clock: rig.clock, log: silentLog, clientGraceMs: 60_000, checkExit() {} },
    isConnected: () => false,
    end: (sessionId, reason, by) => rig.ending.end(sessionId, reason, by),
  });
  const running = keeper.run(stop.signal);
  await rig.clock.advanceAsync(600_000);
  assertEquals(rig.states, ["active"]);
  stop.abort();
  await running;
  await rig.ending.end(sessionId, "admin");
  await settle();
  assertEquals([rig.states, relay.ports], [[], []]);
});

Deno.test("it is granted at the exit that was asked for, and only to keys that fit together", async () => {
  const { rig } = makeRig();
  using _rig = rig;
  for (let number = 100; number <= 150; number++) await rig.connectExit(number, grants);
  const sessionId = await grantStatic(rig, { exitPeerId: peerId(150) });
  assertEquals(rig.sessions.find(sessionId)!.exit!.exit.peerId, peerId(150));
  const keys = { ...stockKeys(), wireguardKey: stockKeys(2).wireguardKey };
  const error = await assertRejects(() => rig.statics.grant({ keys, wish: {}, days: 1 }), CulvertError);
  assertEquals(error.code, "bad_keys");
});

Deno.test("a client that is revoked is granted none, and where there is no relay that is what is said", async () => {
  const { rig } = makeRig();
  using _rig = rig;
  await rig.connectExit(100, grants);
  rig.revoked.add(stockKeys().peerId);
  const refused = await rig.statics.grant({ keys: stockKeys(), wish: {}, days: 1 });
  assert(!refused.ok);
  assertEquals([refused.reason, refused.remark, rig.states], ["forbidden", "The client is revoked", []]);
  using without = new SessionRig();
  const unmet = await without.statics.grant({ keys: stockKeys(), wish: {}, days: 1 });
  assert(!unmet.ok);
  assertEquals([unmet.reason, unmet.remark], ["unavailable", "This supernode does not relay packets"]);
});

Deno.test("static sessions have no more than a share of the ports", async () => {
  const { rig } = makeRig({ portCount: 8 });
  using _rig = rig;
  await rig.connectExit(100, grants);
  const granted = [];
  for (let count = 0; count < 3; count++) {
    granted.push((await rig.statics.grant({ keys: stockKeys(), wish: {}, days: 1 })).ok);
  }
  assertEquals(granted, [true, true, false]);
});

Deno.test("when its exit fails it is not moved, and is served again when the exit is back", async () => {
  const { relay, rig } = makeRig();
  using _rig = rig;
  const exit = await rig.connectExit(100, grants);
  await rig.connectExit(101, grants);
  const sessionId = await grantStatic(rig, { exitPeerId: exit });
  rig.rotation.leave(exit, "exit_failed");
  await settle();
  await rig.lost.endedByExit(sessionId, "shutdown");
  assertEquals([rig.states, rig.kindsTo(exit)], [["active"], ["SETUP_EXIT"]]);
  rig.statics.exitJoined(exit);
  await rig.statics.closed();
  const setups = rig.sent.filter(({ to }) => to === exit).map(({ command }) => command);
  assertEquals(setups.map(({ kind }) => kind), ["SETUP_EXIT", "SETUP_EXIT"]);
  assertEquals(new Set(setups.map(({ commandId }) => commandId)).size, 2, "another command, or it would count as done");
  assert(setups[1]!.kind === "SETUP_EXIT");
  assertEquals(setups[1]!.payload.allowedIps, GRANT.addresses);
  assertEquals([relay.ports, rig.kindsTo(peerId(101))], [[40_000], []]);
});

Deno.test("one whose exit is behind another supernode is set up again when that does not know it", async () => {
  const { relay, rig } = makeRig();
  using _rig = rig;
  rig.candidatesElsewhere = [{ ...candidate(110), supernodeId: ELSEWHERE, carriesPackets: true }];
  const requests: ExitSetupRequest[] = [];
  let port = 41_000;
  rig.setUpElsewhere = (request) => {
    requests.push(request);
    return { status: "applied", packets: GRANT, relay: `192.0.2.20:${port++}` };
  };
  const sessionId = await grantStatic(rig);
  const { exit } = rig.sessions.find(sessionId)!;
  const notice = { exitPeerId: exit!.exit.peerId, reason: "ended" as const, sessionIds: [sessionId] };
  await rig.rotation.heard(notice, ELSEWHERE);
  await rig.lost.unknownElsewhere(rig.sessions.find(sessionId)!);
  assertEquals([requests.length, rig.states], [2, ["active"]]);
  assertEquals(relay.placesOf(sessionId).exit, "192.0.2.20:41001");
  assertEquals(rig.sessions.find(sessionId)!.packets!.farRelay, "192.0.2.20:41001");
});

Deno.test("one whose exit is revoked ends", async () => {
  const { relay, rig } = makeRig();
  using _rig = rig;
  const exit = await rig.connectExit(100, grants);
  await grantStatic(rig);
  rig.rotation.leave(exit, "revoked");
  await settle();
  assertEquals([rig.states, relay.ports, rig.kindsTo(exit)], [[], [], ["SETUP_EXIT", "DISCONNECT"]]);
});

Deno.test("one whose tunnel ends here goes to another exit, without anybody being told", async () => {
  const { rig } = makeRig();
  using _rig = rig;
  const exit = await rig.connectExit(100, grants);
  const sessionId = await grantStatic(rig, { relay: "terminate" });
  const { packets, expiresAtMs } = rig.sessions.find(sessionId)!;
  await rig.connectExit(101, grants);
  rig.exits.delete(exit);
  rig.rotation.leave(exit, "exit_failed");
  await settle();
  const [moved, ...others] = [...rig.sessions];
  assertEquals(others, []);
  assertEquals([moved!.exit!.exit.peerId, moved!.isStatic, moved!.expiresAtMs], [peerId(101), true, expiresAtMs]);
  assertEquals(moved!.packets!.offer, packets!.offer);
});

Deno.test("one whose tunnel ends here waits for an exit, however long there is none", async () => {
  const { rig } = makeRig();
  using _rig = rig;
  const exit = await rig.connectExit(100, grants);
  await grantStatic(rig, { relay: "terminate" });
  rig.exits.delete(exit);
  rig.rotation.leave(exit, "exit_failed");
  await rig.clock.advanceAsync(600_000);
  assertEquals(rig.states, ["active"]);
  await rig.connectExit(101, grants);
  await rig.clock.advanceAsync(10_000);
  assertEquals([...rig.sessions].map((record) => record.exit!.exit.peerId), [peerId(101)]);
});

Deno.test("one whose tunnel ends here is not left with an exit that is revoked", async () => {
  const { rig } = makeRig();
  using _rig = rig;
  const exit = await rig.connectExit(100, grants);
  await grantStatic(rig, { relay: "terminate" });
  rig.exits.delete(exit);
  rig.rotation.leave(exit, "revoked");
  for (let second = 0; second < 20; second++) await rig.clock.advanceAsync(1_000);
  assertEquals(rig.states, []);
});

Deno.test("one whose port is in use after a restart waits for it", async () => {
  const { relay, rig } = makeRig();
  using _rig = rig;
  await rig.connectExit(100, grants);
  await grantStatic(rig);
  relay.sessions.clear();
  relay.taken.add(40_000);
  const [record] = await rig.packets.restore();
  rig.statics.keepClosed(record!);
  const stop = new AbortController();
  const running = rig.statics.run(stop.signal);
  await rig.clock.advanceAsync(120_000);
  assertEquals(relay.ports, []);
  relay.taken.clear();
  await rig.clock.advanceAsync(60_000);
  assertEquals(relay.ports, [40_000]);
  stop.abort();
  await running;
});
