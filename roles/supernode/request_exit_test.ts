import { assertEquals } from "@std/assert";
import { candidate, peerId } from "../../kv/fixtures/records.ts";
import { createMemorySessions } from "../../kv/sessions.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { CLIENT, ELSEWHERE, SessionRig } from "./fixtures/session_rig.ts";
import { turnAway } from "./turning_away.ts";
import type { ExitGrant } from "./request_exit.ts";

const elsewhere = (number: number) => ({ ...candidate(number), supernodeId: ELSEWHERE });

function exitOf(grant: ExitGrant): string | undefined {
  return grant.ok ? grant.offer.exit.peerId : grant.reason;
}

Deno.test("an exit that says no is left for the next", async () => {
  using rig = new SessionRig();
  await rig.connectExit(100, () => "failed");
  await rig.connectExit(101);
  assertEquals(exitOf(await rig.requests.grant(CLIENT, {})), peerId(101));
  assertEquals(rig.states, ["active"]);
});

Deno.test("when every exit here says no, those of other supernodes are tried", async () => {
  using rig = new SessionRig();
  await rig.connectExit(100, () => "failed");
  rig.candidatesElsewhere = [elsewhere(110)];
  assertEquals(exitOf(await rig.requests.grant(CLIENT, {})), peerId(110));
  assertEquals(rig.states, ["active"]);
});

Deno.test("an exit here that has nothing to spare does not hide those of other supernodes", async () => {
  using rig = new SessionRig();
  await rig.connectExit(100);
  rig.exits.set(peerId(100), { ...candidate(100), bandwidthMbps: 0 });
  rig.candidatesElsewhere = [elsewhere(110)];
  assertEquals(exitOf(await rig.requests.grant(CLIENT, {})), peerId(110));
});

Deno.test("when nobody says yes there is no session, and nothing is left of it", async () => {
  using rig = new SessionRig();
  await rig.connectExit(100, () => "failed");
  rig.candidatesElsewhere = [elsewhere(110)];
  rig.setUpElsewhere = () => ({ status: "no_such_exit" });
  assertEquals(exitOf(await rig.requests.grant(CLIENT, {})), "no_exit");
  assertEquals(rig.states, []);
});

Deno.test("a wish is answered before the client gives up, though no exit answers", async () => {
  using rig = new SessionRig();
  for (const number of [100, 101, 102]) await rig.connectExit(number, () => undefined);
  const grant = rig.requests.grant(CLIENT, {});
  const startMs = rig.clock.now();
  let answer: ExitGrant | undefined;
  grant.then((given) => answer = given);
  while (!answer && rig.clock.now() - startMs < 60_000) {
    await rig.clock.advanceAsync(500);
    for (const number of [100, 101, 102]) rig.expire(peerId(number));
    await settle();
  }
  assertEquals(exitOf(answer!), "no_exit");
  assertEquals(rig.clock.now() - startMs <= 12_000, true);
});

Deno.test("when nobody can be asked, exits that were known before are tried", async () => {
  using rig = new SessionRig();
  rig.candidatesElsewhere = [elsewhere(110), elsewhere(111)];
  await rig.requests.grant(CLIENT, {});
  const [before] = rig.sessions;
  rig.candidatesElsewhere = [];
  const exclude = [before!.exit!.exit.peerId];
  assertEquals((await rig.requests.grant(CLIENT, { exclude })).ok, false);
  const grant = await rig.requests.grant(CLIENT, { exclude }, { previous: before });
  assertEquals([peerId(110), peerId(111)].filter((id) => !exclude.includes(id)), [exitOf(grant)!]);
});

Deno.test("when the store fails after the exit has said yes, the exit lets go of it", async () => {
  const store = createMemorySessions(new FakeClock());
  let saves = 0;
  using rig = new SessionRig({
    store: { ...store, save: (record) => ++saves === 2 ? Promise.reject(new Error("no room")) : store.save(record) },
  });
  const exit = await rig.connectExit(100);
  assertEquals(await rig.requests.grant(CLIENT, {}).catch((error) => error.message), "no room");
  await settle();
  assertEquals([rig.states, rig.kindsTo(exit)], [[], ["SETUP_EXIT", "DISCONNECT"]]);
});

Deno.test("an exit that was revoked is not given, wherever it is connected, and sessions leave it", async () => {
  using rig = new SessionRig();
  await rig.connect(CLIENT.peerId);
  rig.candidatesElsewhere = [elsewhere(110), elsewhere(111)];
  const [first] = [exitOf(await rig.requests.grant(CLIENT, {}))!];
  rig.revoked.add(first);
  await turnAway({ kind: "peer", peerId: first, by: "admin", reason: "", sinceMs: 0 }, {
    ...rig,
    links: { end() {} },
    streams: { end: () => false },
    endSession: () => Promise.resolve(true),
  });
  await settle();
  const [other] = [110, 111].map((number) => peerId(number)).filter((id) => id !== first);
  assertEquals([...rig.sessions].map(({ exit }) => exit?.exit.peerId), [other]);
  rig.candidatesElsewhere = [elsewhere(110), elsewhere(111)].filter(({ exit }) => exit.peerId === first);
  assertEquals(exitOf(await rig.requests.grant(CLIENT, {})), "no_exit");
});
