import { assertEquals } from "@std/assert";
import { candidate, peerId, token } from "../../kv/fixtures/records.ts";
import { createMemorySessions } from "../../kv/sessions.ts";
import type { SessionCheck } from "../../protocol/directory.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import type { SessionRecord } from "../../protocol/session.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { SessionChecks } from "./session_checks.ts";
import { Sessions } from "./sessions.ts";

const [HERE, OTHER] = [peerId(1), peerId(2)];
const forever = AbortSignal.any([]);

class Rig {
  readonly clock = new FakeClock();
  readonly lost: string[] = [];
  readonly asked: SessionCheck[] = [];
  /** The store takes no more. */
  fails = false;
  /** What the other supernode says. */
  answer: (check: SessionCheck, supernodeId: string) => readonly string[] | Promise<readonly string[]> = () => [];
  readonly sessions = new Sessions({
    supernodeId: HERE,
    store: createMemorySessions(this.clock),
    clock: this.clock,
    log: silentLog,
    metrics: noMetrics,
  });
  readonly checks = new SessionChecks({
    supernodeId: HERE,
    sessions: this.sessions,
    peering: {
      check: async (supernodeId, check) => {
        this.asked.push(check);
        return { unknown: [...await this.answer(check, supernodeId)] };
      },
    },
    clock: this.clock,
    random: new SeededRandom(1),
    log: silentLog,
    onLost: ({ sessionId }) =>
      this.fails ? Promise.reject(new Error("full")) : Promise.resolve(void this.lost.push(sessionId)),
  });

  add(number: number, record: Partial<SessionRecord> = {}): string {
    const sessionId = token(number);
    this.sessions.add({
      sessionId,
      state: "active",
      clientPeerId: peerId(3),
      clientWireguardKey: "",
      clientSupernodeId: OTHER,
      wish: {},
      exit: { ...candidate(100), supernodeId: HERE },
      candidates: [],
      failed: [],
      createdAtMs: 0,
      updatedAtMs: 0,
      expiresAtMs: this.clock.wallNow() + 3_600_000,
      revision: 0,
      ...record,
    });
    return sessionId;
  }
}

Deno.test("what the other supernode does not know is lost, and only that", async () => {
  const rig = new Rig();
  const [known, unknown] = [rig.add(1), rig.add(2)];
  rig.answer = () => [unknown, token(99)];
  await rig.checks.checkAll(forever);
  assertEquals([rig.asked, rig.lost], [[{ sessionIds: [known, unknown], isAll: true }], [unknown]]);
});

Deno.test("sessions that have changed just now are not lost, and asked about again", async () => {
  const rig = new Rig();
  const sessionIds = [
    rig.add(1, { updatedAtMs: rig.clock.wallNow() - 29_000 }),
    rig.add(2, { state: "setting_up" }),
  ];
  rig.answer = () => sessionIds;
  for (const _ of [1, 2]) await rig.checks.checkAll(forever);
  assertEquals([rig.asked, rig.lost], [Array(2).fill({ sessionIds, isAll: true }), []]);
});

Deno.test("sessions that nobody else has a part in, or that are between two exits, are not asked about", async () => {
  const rig = new Rig();
  rig.add(1, { clientSupernodeId: HERE });
  rig.add(2, { clientSupernodeId: HERE, state: "requested", exit: { ...candidate(100), supernodeId: OTHER } });
  await rig.checks.checkAll(forever);
  assertEquals(rig.asked, []);
});

Deno.test("what has been agreed is asked about again when it changes, its supernode is doubted, or ten minutes have passed", async () => {
  const rig = new Rig();
  rig.add(1);
  const counts: number[] = [];
  const check = async (change: () => unknown = () => {}) => {
    change();
    await rig.checks.checkAll(forever);
    counts.push(rig.asked.length);
  };
  await check();
  await check(() => rig.clock.advance(599_000));
  await check(() => rig.clock.advance(1_000));
  await check(() => rig.add(2));
  await check(() => rig.checks.doubt(OTHER));
  await check();
  assertEquals(counts, [1, 1, 2, 3, 4, 4]);
});

Deno.test("a supernode is told once that there is nothing left with it, and again until it answers", async () => {
  const rig = new Rig();
  const sessionId = rig.add(1);
  await rig.checks.checkAll(forever);
  rig.sessions.forget(sessionId);
  rig.answer = () => {
    throw new Error("away");
  };
  await rig.checks.checkAll(forever);
  rig.answer = () => [];
  for (const _ of [1, 2]) await rig.checks.checkAll(forever);
  assertEquals(rig.asked.slice(1), Array(2).fill({ sessionIds: [], isAll: true }));
});

Deno.test("a supernode that is away for ten minutes is not told for ever that there is nothing left with it", async () => {
  const rig = new Rig();
  const sessionId = rig.add(1);
  await rig.checks.checkAll(forever);
  rig.sessions.forget(sessionId);
  rig.answer = () => {
    throw new Error("away");
  };
  for (const passMs of [0, 600_000, 60_000]) {
    rig.clock.advance(passMs);
    await rig.checks.checkAll(forever);
  }
  assertEquals(rig.asked.length, 3);
});

Deno.test("one that asks about all that it has need not be asked, and what it does not name is lost", async () => {
  const rig = new Rig();
  const [both, here] = [rig.add(1), rig.add(2)];
  rig.add(3, { updatedAtMs: rig.clock.wallNow() });
  assertEquals(await rig.checks.answer({ sessionIds: [both], isAll: true }, OTHER), { unknown: [] });
  assertEquals(rig.lost, [here]);
  rig.sessions.forget(here);
  await rig.checks.answer({ sessionIds: [both], isAll: true }, OTHER);
  await rig.checks.checkAll(forever);
  assertEquals(rig.asked.length, 1);
  await rig.checks.answer({ sessionIds: [both, token(3)], isAll: true }, OTHER);
  await rig.checks.checkAll(forever);
  assertEquals(rig.asked.length, 1);
});

Deno.test("a store that fails keeps no supernode from its answer, and what is lost is ended later", async () => {
  const rig = new Rig();
  const sessionId = rig.add(1);
  rig.fails = true;
  assertEquals(await rig.checks.answer({ sessionIds: [], isAll: true }, OTHER), { unknown: [] });
  rig.fails = false;
  await rig.checks.answer({ sessionIds: [], isAll: true }, OTHER);
  assertEquals(rig.lost, [sessionId]);
});

Deno.test("one that asks about a part of what it has does not have the rest ended", async () => {
  const rig = new Rig();
  const [named] = [rig.add(1), rig.add(2)];
  await rig.checks.answer({ sessionIds: [named] }, OTHER);
  assertEquals(rig.lost, []);
});

Deno.test("what clients of a supernode have here is lost once it has not answered for ten minutes", async () => {
  const rig = new Rig();
  const theirs = rig.add(1);
  rig.add(2, { clientSupernodeId: HERE, exit: { ...candidate(100), supernodeId: OTHER } });
  rig.answer = () => {
    throw new Error("away");
  };
  for (const passMs of [0, 300_000, 299_000]) {
    rig.clock.advance(passMs);
    await rig.checks.checkAll(forever);
  }
  assertEquals(rig.lost, []);
  rig.clock.advance(1_000);
  await rig.checks.checkAll(forever);
  assertEquals(rig.lost, [theirs]);
});

Deno.test("supernodes that do not answer do not keep others waiting", async () => {
  const rig = new Rig();
  const { promise, reject } = Promise.withResolvers<never>();
  const heard: string[] = [];
  rig.answer = (_, supernodeId) => {
    if (supernodeId !== peerId(9)) return promise;
    heard.push(supernodeId);
    reject(new Error("away"));
    return [];
  };
  for (let number = 2; number <= 9; number++) rig.add(number, { clientSupernodeId: peerId(number) });
  await rig.checks.checkAll(forever);
  assertEquals(heard, [peerId(9)]);
});

Deno.test("a supernode is told what is unknown of the sessions that it has a part in", async () => {
  const rig = new Rig();
  const theirs = rig.add(1);
  const others = rig.add(2, { clientSupernodeId: peerId(7) });
  const at = rig.add(3, { clientSupernodeId: HERE, exit: { ...candidate(100), supernodeId: OTHER } });
  const answer = await rig.checks.answer({ sessionIds: [theirs, others, at, token(9)] }, OTHER);
  assertEquals(answer, { unknown: [others, token(9)] });
});

Deno.test("thousands of sessions are asked about in pieces", async () => {
  const rig = new Rig();
  for (let number = 0; number < 2500; number++) rig.add(number);
  await rig.checks.checkAll(forever);
  assertEquals(rig.asked.map(({ sessionIds }) => sessionIds.length), [1024, 1024, 452]);
});

Deno.test("who does not answer is not asked for the rest, and once it is given up all of that is lost", async () => {
  const rig = new Rig();
  for (let number = 0; number < 2500; number++) rig.add(number);
  rig.answer = () => {
    throw new Error("away");
  };
  await rig.checks.checkAll(forever);
  assertEquals([rig.asked.length, rig.lost.length], [1, 0]);
  rig.clock.advance(600_000);
  await rig.checks.checkAll(forever);
  assertEquals([rig.asked.length, rig.lost.length], [2, 2500]);
});

Deno.test("a supernode that has missed an end is asked until it answers, though nothing is left with it", async () => {
  const rig = new Rig();
  rig.answer = () => Promise.reject(new Error("cut"));
  rig.checks.untold(OTHER);
  await rig.checks.checkAll(forever);
  rig.answer = () => [];
  for (let times = 0; times < 2; times++) await rig.checks.checkAll(forever);
  assertEquals(rig.asked, [{ sessionIds: [], isAll: true }, { sessionIds: [], isAll: true }]);
});

Deno.test("what is missing at the asker, and not settled yet, is asked about again", async () => {
  const rig = new Rig();
  const kept = rig.add(1);
  await rig.checks.checkAll(forever);
  rig.sessions.add({ ...rig.sessions.find(kept)!, updatedAtMs: rig.clock.wallNow() });
  await rig.checks.answer({ sessionIds: [], isAll: true }, OTHER);
  assertEquals(rig.lost, []);
  rig.clock.advance(30_000);
  rig.answer = () => [kept];
  await rig.checks.checkAll(forever);
  assertEquals(rig.lost, [kept]);
});
