import { assertEquals, assertRejects } from "@std/assert";
import { CulvertError, DialError } from "../protocol/errors.ts";
import type { Stream } from "../protocol/stream.ts";
import { settle } from "../testing/fake_clock.ts";
import { Rig, TARGET } from "./fixtures/session_switch_rig.ts";
import { memoryStreamPair } from "./memory.ts";

Deno.test("many dials at once ask for one session", async () => {
  const rig = new Rig();
  await Promise.all(Array.from({ length: 20 }, () => rig.path.dial(TARGET)));
  assertEquals(rig.asked, [[]]);
  await rig.end();
  assertEquals(rig.released, ["session-1"]);
});

Deno.test("a dial that finds the exit gone goes elsewhere, and not back", async () => {
  const rig = new Rig();
  await rig.path.dial(TARGET);
  rig.ways[0]!.mood = "gone";
  await rig.clock.runUntil(rig.path.dial(TARGET), 1000);
  assertEquals(rig.asked, [[], ["exit-1"]]);
  assertEquals(rig.present, "session-2");
  await settle();
  assertEquals(rig.released, ["session-1"]);
  await rig.end();
});

Deno.test("an answer of the target is the dial's answer, and says nothing of the exit", async () => {
  const rig = new Rig();
  await rig.path.dial(TARGET);
  rig.ways[0]!.mood = "refuses";
  await assertRejects(() => rig.path.dial(TARGET), DialError, "nothing listens there");
  assertEquals(rig.present, "session-1");
  await rig.end();
});

Deno.test("an exit that is there and carries nothing is found out by probes, and dials under way move on", async () => {
  const rig = new Rig();
  await rig.path.dial(TARGET);
  rig.ways[0]!.mood = "mute";
  const dial = rig.path.dial(TARGET);
  await rig.clock.runUntil(dial, 20_000);
  assertEquals(rig.present, "session-2");
  await rig.end();
});

Deno.test("while the supernode cannot be reached, no exit is blamed", async () => {
  const rig = new Rig();
  await rig.path.dial(TARGET);
  rig.way.lose();
  rig.ways[0]!.mood = "gone";
  const dial = assertRejects(() => rig.path.dial(TARGET), DialError, "gone");
  await rig.clock.advanceAsync(30_000);
  await dial;
  assertEquals([rig.present, rig.asked.length], ["session-1", 1]);
  await rig.end();
});

Deno.test("a dial that meets a lost way to the supernode waits for it, and goes on with the same session", async () => {
  const rig = new Rig();
  await rig.path.dial(TARGET);
  rig.way.lose();
  rig.ways[0]!.mood = "gone";
  const dial = rig.path.dial(TARGET);
  await rig.clock.advanceAsync(3_000);
  rig.ways[0]!.mood = "well";
  rig.way.comeBack();
  await dial;
  assertEquals([rig.present, rig.asked.length], ["session-1", 1]);
  await rig.end();
});

Deno.test("a dial that waits for the way to the supernode gives up when it is told to", async () => {
  const rig = new Rig();
  await rig.path.dial(TARGET);
  rig.way.lose();
  rig.ways[0]!.mood = "gone";
  const stop = new AbortController();
  const dial = assertRejects(() => rig.path.dial(TARGET, { signal: stop.signal }), Error, "enough");
  await settle();
  assertEquals(rig.way.waiting, 1);
  stop.abort(new Error("enough"));
  await dial;
  assertEquals(rig.way.waiting, 0);
  await rig.end();
});

Deno.test("when a session was just lost a dial waits for the next, and otherwise is told that there is none", async () => {
  const rig = new Rig();
  rig.failNext = new DialError("host_unreachable", "no exit");
  await assertRejects(() => rig.path.dial(TARGET), DialError, "no exit");
  await rig.clock.advanceAsync(1_000);
  await rig.path.dial(TARGET);
  rig.path.drop("session-1");
  rig.failNext = new DialError("host_unreachable", "no exit");
  await rig.clock.runUntil(rig.path.dial(TARGET), 2_000);
  assertEquals(rig.present, "session-2");
  await rig.end();
});

Deno.test("a session is renewed well before it expires, again and again", async () => {
  const rig = new Rig();
  rig.lifeMs = rig.renewedForMs = 12 * 3_600_000;
  await rig.path.dial(TARGET);
  await rig.clock.advanceAsync(100 * 3_600_000);
  assertEquals([rig.present, rig.asked.length], ["session-1", 1]);
  assertEquals(rig.renewals > 9 && rig.renewals < 20, true, `${rig.renewals}`);
  await rig.end();
});

Deno.test("a session that moves with its client to another supernode is replaced, and its streams end by themselves", async () => {
  const rig = new Rig();
  await rig.path.dial(TARGET);
  rig.ways[0]!.streamCount = 1;
  await rig.path.replace("moved", AbortSignal.any([]));
  assertEquals([rig.present, rig.ways[0]!.isClosed], ["session-2", false]);
  rig.ways[0]!.streamCount = 0;
  await rig.clock.advanceAsync(300);
  assertEquals([rig.ways[0]!.isClosed, rig.released], [true, ["session-1"]]);
  await rig.end();
});

Deno.test("an exit that has failed is taken again when there is no other", async () => {
  const rig = new Rig();
  await rig.path.dial(TARGET);
  rig.ways[0]!.mood = "gone";
  rig.failNext = new DialError("host_unreachable", "no_exit");
  await rig.clock.runUntil(rig.path.dial(TARGET), 1000);
  assertEquals(rig.asked, [[], ["exit-1"], []]);
  await rig.end();
});

Deno.test("exits that fail one after the other end the dial, and the supernode is not asked without pause", async () => {
  const rig = new Rig();
  const gone = rig.session.bind(rig);
  rig.session = () => {
    const session = gone();
    rig.ways.at(-1)!.mood = "gone";
    return session;
  };
  await rig.clock.runUntil(assertRejects(() => rig.path.dial(TARGET), DialError, "gone"), 5_000);
  assertEquals(rig.asked.length <= 4 && rig.clock.now() >= 600, true);
  await rig.end();
});

Deno.test("a rotation waits for the next exit to carry a probe, and lets old streams end", async () => {
  const rig = new Rig();
  await rig.path.dial(TARGET);
  rig.ways[0]!.streamCount = 1;
  const signal = AbortSignal.any([]);
  await rig.path.rotate("session-1", rig.session(), { drainMs: 10_000, signal });
  assertEquals([rig.present, rig.ways[0]!.isClosed], ["session-2", false]);
  rig.ways[0]!.streamCount = 0;
  await rig.clock.advanceAsync(300);
  assertEquals([rig.ways[0]!.isClosed, rig.released], [true, ["session-1"]]);
  await rig.end();
});

Deno.test("old streams are cut when their time is over", async () => {
  const rig = new Rig();
  await rig.path.dial(TARGET);
  rig.ways[0]!.streamCount = 1;
  await rig.path.rotate("session-1", rig.session(), { drainMs: 10_000, signal: AbortSignal.any([]) });
  await rig.clock.advanceAsync(10_300);
  assertEquals(rig.ways[0]!.isClosed, true);
  await rig.end();
});

Deno.test("a rotation to an exit that carries nothing changes nothing", async () => {
  const rig = new Rig();
  await rig.path.dial(TARGET);
  const next = rig.session();
  rig.ways[1]!.mood = "gone";
  const signal = AbortSignal.any([]);
  await assertRejects(() => rig.path.rotate("session-1", next, { drainMs: 0, signal }), DialError);
  assertEquals([rig.present, rig.ways[1]!.isClosed], ["session-1", true]);
  const stale = rig.session();
  const error = await assertRejects(() => rig.path.rotate("session-9", stale, { drainMs: 0, signal }), CulvertError);
  assertEquals(error.code, "unknown_session");
  assertEquals(rig.ways[2]!.isClosed, true);
  await rig.end();
});

Deno.test("a rotation that meets a lost way to the supernode waits for it, and gives up when its time is over", async () => {
  const rig = new Rig();
  await rig.path.dial(TARGET);
  for (const isBackInTime of [false, true]) {
    const next = rig.session();
    const nextWay = rig.ways.at(-1)!;
    rig.way.lose();
    nextWay.mood = "gone";
    const stop = new AbortController();
    const rotation = rig.path.rotate("session-1", next, { drainMs: 0, signal: stop.signal });
    const outcome = rotation.then(() => "done", (error: Error) => error.message);
    await rig.clock.advanceAsync(2_000);
    if (isBackInTime) nextWay.mood = "well";
    else stop.abort(new Error("too late"));
    rig.way.comeBack();
    assertEquals(await outcome, isBackInTime ? "done" : "too late");
  }
  assertEquals([rig.present, rig.ways[1]!.isClosed, rig.ways[2]!.isClosed], ["session-3", true, false]);
  await rig.end();
});

Deno.test("an exit that is found to have failed while a rotation waits for it does not take the place", async () => {
  const rig = new Rig();
  await rig.path.dial(TARGET);
  const next = rig.session();
  const { promise, resolve } = Promise.withResolvers<Stream>();
  const way = rig.ways[1]!;
  way.dial = () => {
    way.dial = () => Promise.reject(new DialError("path_down", "gone"));
    return promise;
  };
  const rotation = rig.path.rotate("session-1", next, { drainMs: 0, signal: AbortSignal.any([]) });
  const refused = assertRejects(() => rotation, DialError, "has failed");
  await rig.clock.advanceAsync(3_000);
  resolve(memoryStreamPair()[0]);
  await refused;
  await rig.path.dial(TARGET);
  assertEquals(rig.present, "session-1");
  await rig.end();
});

Deno.test("sessions that have expired already, by a clock that was set, are not asked for without pause", async () => {
  const rig = new Rig();
  rig.lifeMs = -1000;
  await rig.path.dial(TARGET);
  await rig.clock.advanceAsync(10_000);
  assertEquals(rig.asked.length > 1 && rig.asked.length <= 21, true, `${rig.asked.length}`);
  await rig.end();
});

Deno.test("before a session expires another takes its place", async () => {
  const rig = new Rig();
  rig.lifeMs = 600_000;
  await rig.path.dial(TARGET);
  await rig.clock.advanceAsync(541_000);
  assertEquals(rig.present, "session-2");
  assertEquals(rig.asked, [[], []]);
  await rig.end();
});

Deno.test("a supernode that takes its time to grant the next session does not cost the session", async () => {
  const rig = new Rig();
  rig.lifeMs = 600_000;
  await rig.path.dial(TARGET);
  const { promise, resolve } = Promise.withResolvers<void>();
  rig.hold = promise;
  await rig.clock.advanceAsync(547_000);
  resolve();
  await settle();
  assertEquals([rig.present, rig.asked.length], ["session-2", 2]);
  await rig.end();
});

Deno.test("a rotation that comes while a session is being renewed takes its place; the other is given back", async () => {
  const rig = new Rig();
  rig.lifeMs = 600_000;
  await rig.path.dial(TARGET);
  const { promise, resolve } = Promise.withResolvers<void>();
  rig.hold = promise;
  await rig.clock.advanceAsync(541_000);
  await rig.path.rotate("session-1", rig.session(), { drainMs: 0, signal: AbortSignal.any([]) });
  resolve();
  await settle();
  assertEquals([rig.present, rig.released], ["session-2", ["session-1", "session-3"]]);
  await rig.end();
});

Deno.test("a rotation that comes after close is closed too", async () => {
  const rig = new Rig();
  await rig.path.dial(TARGET);
  rig.ways[0]!.mood = "gone";
  rig.failNext = new DialError("denied", "no supernode");
  await rig.clock.runUntil(assertRejects(() => rig.path.dial(TARGET), DialError, "no supernode"), 1000);
  rig.path.close();
  const rotation = rig.path.rotate("session-1", rig.session(), { drainMs: 0, signal: AbortSignal.any([]) });
  await assertRejects(() => rotation, DialError, "closed");
  await rig.end();
});

Deno.test("a session that is dropped is not used again, nor given back", async () => {
  const rig = new Rig();
  await rig.path.dial(TARGET);
  rig.path.drop("session-1");
  await rig.clock.runUntil(rig.path.dial(TARGET), 1000);
  assertEquals([rig.present, rig.released], ["session-2", []]);
  await rig.end();
});

Deno.test("a session that is granted after close is given back", async () => {
  const rig = new Rig();
  const { promise, resolve } = Promise.withResolvers<void>();
  rig.hold = promise;
  const dial = assertRejects(() => rig.path.dial(TARGET), DialError, "closed");
  await settle();
  rig.path.close();
  resolve();
  await rig.end();
  await dial;
  assertEquals([rig.ways.length, rig.released], [1, ["session-1"]]);
});

Deno.test("after close nothing is dialled", async () => {
  const rig = new Rig();
  await rig.end();
  await assertRejects(() => rig.path.dial(TARGET), DialError, "closed");
});

Deno.test("whoever wants to know is told which session is in use, before the old one goes", async () => {
  const rig = new Rig();
  await rig.path.warm();
  const before = rig.ways[0]!;
  const replaced = rig.path.replace("moved", new AbortController().signal);
  await rig.clock.runUntil(replaced, 1000);
  assertEquals(rig.taken, ["session-1", "session-2"]);
  rig.path.drop("session-2");
  assertEquals(rig.taken, ["session-1", "session-2", "none"]);
  assertEquals(before.isClosed, true);
  await rig.end();
});

Deno.test("where a session has to prove itself one that carries no probe is left for the next", async () => {
  const rig = new Rig({ proveWithinMs: 1_000 });
  await rig.path.warm();
  assertEquals(rig.taken, ["session-1"]);
  const { session } = rig;
  rig.session = () => {
    const made = session.call(rig);
    if (rig.ways.length === 2) rig.ways[1]!.mood = "mute";
    return made;
  };
  rig.ways[0]!.mood = "gone";
  await rig.clock.runUntil(rig.path.dial(TARGET), 5_000);
  assertEquals(rig.taken, ["session-1", "none", "session-3"]);
  assertEquals(rig.asked, [[], ["exit-1"], ["exit-1", "exit-2"]]);
  await rig.end();
});

Deno.test("one failed probe is enough where that is asked for", async () => {
  const rig = new Rig({ failuresToDown: 1, probeEveryMs: 500, probeTimeoutMs: 1_200 });
  await rig.path.warm();
  await rig.clock.advanceAsync(1_000);
  rig.ways[0]!.mood = "mute";
  const struckMs = rig.clock.now();
  while (rig.present !== "session-2") await rig.clock.advanceAsync(50);
  assertEquals(rig.clock.now() - struckMs <= 500 * 1.25 + 1_200 + 50, true);
  await rig.end();
});

Deno.test("somebody who asks for another exit gets another, or is told that there is none", async () => {
  const rig = new Rig();
  const { signal } = new AbortController();
  await rig.path.warm();
  await rig.clock.runUntil(rig.path.replace("asked", signal), 1_000);
  assertEquals(rig.asked, [[], ["exit-1"]]);
  assertEquals(rig.present, "session-2");
  rig.failNext = new DialError("host_unreachable", "there is none");
  await assertRejects(() => rig.path.replace("asked", signal), DialError, "there is none");
  assertEquals(rig.present, "session-2");
  await rig.end();
});

Deno.test("where every exit has failed, the one that failed last is the last to be asked for again", async () => {
  const rig = new Rig({ proveWithinMs: 1_000 });
  await rig.path.warm();
  rig.ways[0]!.mood = "gone";
  await rig.clock.runUntil(rig.path.dial(TARGET), 5_000);
  rig.ways[1]!.mood = "gone";
  rig.failNext = new DialError("host_unreachable", "there is none");
  await rig.clock.runUntil(rig.path.dial(TARGET), 5_000);
  assertEquals(rig.asked, [[], ["exit-1"], ["exit-1", "exit-2"], ["exit-2"]]);
  await rig.end();
});
