import { assert, assertEquals, assertLessOrEqual, assertRejects } from "@std/assert";
import { DialError } from "../../../protocol/errors.ts";
import { clientAccount, FEES_ACCOUNT } from "../../../protocol/sharing/ledger.ts";
import type { MeteredToll } from "../../../protocol/sharing/metered_toll.ts";
import type { Toll } from "../../../protocol/sharing/toll.ts";
import { settle } from "../../../testing/fake_clock.ts";
import { BoothRig, carry, CLIENT, fare, fund, MIB, OWNER } from "./fixtures/booth.ts";

const MIB_MICROS = 1000n;

Deno.test("what was delivered is charged, and the operator and the house have their shares", async () => {
  const rig = new BoothRig();
  await rig.fund(1_000_000n);
  const toll = await rig.booth.open(fare());
  assertEquals(await carry(toll, 10 * MIB), 10 * MIB);
  toll[Symbol.dispose]();
  await rig.close();
  assertEquals(await rig.charged(), 10n * MIB_MICROS);
  assertEquals(await rig.earned(), 8n * MIB_MICROS);
  assertEquals((await rig.ledger.balance(FEES_ACCOUNT)).creditsPosted, 2n * MIB_MICROS);
  assertEquals([await rig.held(), await rig.available()], [0n, 1_000_000n - 10n * MIB_MICROS]);
});

Deno.test("both directions count, and what was allowed and not delivered does not", async () => {
  const rig = new BoothRig();
  await rig.fund(1_000_000n);
  const toll = await rig.booth.open(fare());
  assertEquals(toll.allow(MIB), MIB);
  toll.passed("up", MIB / 2, MIB);
  assertEquals(toll.allow(MIB), MIB);
  toll.passed("down", MIB / 2, MIB);
  assertEquals(toll.allow(MIB), MIB);
  toll[Symbol.dispose]();
  await rig.close();
  assertEquals(await rig.charged(), MIB_MICROS);
  const [traffic] = (await rig.ledger.transfers(`operator:${OWNER}`)).filter(({ reason }) => reason === "traffic");
  assertEquals(traffic!.memo, { node: "node1", session: "s1", region: "eu", up: MIB / 2, down: MIB / 2 });
});

Deno.test("money moves within a tick, and not at every read", async () => {
  const rig = new BoothRig();
  await rig.fund(1_000_000n);
  const toll = await rig.booth.open(fare());
  for (let at = 0; at < 100; at++) {
    toll.allow(1000);
    toll.passed("down", 1000, 1000);
  }
  await settle();
  assertEquals(await rig.charged(), 0n);
  await rig.clock.advanceAsync(1000);
  assertEquals(await rig.charged(), 95n);
  toll[Symbol.dispose]();
  await rig.close();
});

Deno.test("one settlement at a time, whenever another is asked for", async () => {
  let most = 0;
  let answer: (() => void) | undefined;
  const rig = new BoothRig({}, (ledger) => {
    const apply = ledger.apply.bind(ledger);
    return Object.assign(ledger, {
      apply: async (sets: Parameters<typeof apply>[0]) => {
        most = Math.max(most, sets.length);
        if (answer) await new Promise<void>((resolve) => answer = resolve);
        return await apply(sets);
      },
    });
  });
  await rig.fund(1_000_000n);
  const toll = await rig.booth.open(fare());
  answer = () => {};
  // Asks at every turn of the queue, so also between the end of one settlement and the beginning of the next.
  for (let turn = 0; turn < 5000; turn++) {
    const allowed = toll.allow(2000);
    toll.passed("down", allowed, allowed);
    void rig.booth.flush();
    await Promise.resolve();
    if (turn % 50 === 49) answer();
  }
  answer();
  answer = undefined;
  toll[Symbol.dispose]();
  await rig.close();
  assertEquals(most, 1);
  const { line } = toll as MeteredToll;
  assertEquals(await rig.charged(), BigInt(line.downBytes) * MIB_MICROS / BigInt(MIB));
});

Deno.test("a client without money is told so", async () => {
  const rig = new BoothRig();
  const error = await assertRejects(() => rig.booth.open(fare()), DialError);
  assertEquals([error.code, error.isForAll], ["unpaid", true]);
  await rig.close();
});

Deno.test("a prepaid client is cut when the balance is empty, with less than a MiB of it unused, and never goes below", async () => {
  for (const money of [1n, 999n, 1000n, 1500n, 4000n, 123_456n, 500_000n]) {
    const rig = new BoothRig();
    await rig.fund(money);
    const toll = await rig.booth.open(fare());
    const carried = await carry(toll, 1000 * MIB);
    // A last hundred bytes that cost less than a micro may be left over.
    const worth = Number(money) * MIB / 1000;
    assertLessOrEqual(carried, worth);
    assertLessOrEqual(worth - carried, 2);
    toll[Symbol.dispose]();
    await rig.close();
    const left = await rig.available();
    assert(left === 0n || left === 1n, `${left} left of ${money}`);
  }
});

Deno.test("streams of one client share its money to the last MiB", async () => {
  const rig = new BoothRig();
  await rig.fund(50_000n);
  const tolls = await Promise.all([1, 2, 3, 4, 5].map((n) => rig.booth.open(fare({ sessionId: `s${n}` }))));
  const carried = await Promise.all(tolls.map((toll) => carry(toll, 1000 * MIB)));
  const total = carried.reduce((sum, bytes) => sum + bytes);
  assertLessOrEqual(total, 50 * MIB);
  assertLessOrEqual(50 * MIB - total, 5 * 2);
  for (const toll of tolls) toll[Symbol.dispose]();
  await rig.close();
});

Deno.test("who waits for money gets what another stream gives back, and is not cut while that may come", async () => {
  const rig = new BoothRig();
  await rig.fund(3000n);
  const greedy = await rig.booth.open(fare());
  const patient = await rig.booth.open(fare({ sessionId: "s2" }));
  assertEquals(greedy.allow(3 * MIB), 3 * MIB);
  assertEquals(patient.allow(1000), 0);
  let answer: boolean | undefined;
  const refill = patient.refill().then((is) => answer = is);
  await rig.clock.advanceAsync(300);
  assertEquals(answer, undefined);
  greedy.passed("down", MIB, 3 * MIB);
  await refill;
  assertEquals([answer, patient.allow(2 * MIB)], [true, 2 * MIB]);
  greedy[Symbol.dispose]();
  patient[Symbol.dispose]();
  await rig.close();
  assertEquals(await rig.charged(), MIB_MICROS);
});

Deno.test("streams that all wait do not wait for each other", async () => {
  const rig = new BoothRig();
  await rig.fund(4000n);
  const one = await rig.booth.open(fare());
  const other = await rig.booth.open(fare({ sessionId: "s2" }));
  one.allow(2 * MIB);
  other.allow(2 * MIB);
  const answers = Promise.all([one.refill(), other.refill()]);
  const [first, second] = await rig.clock.runUntil(answers, 1000);
  assertEquals(first && second, false);
  one[Symbol.dispose]();
  other[Symbol.dispose]();
  await rig.close();
});

Deno.test("a top-up is seen by a stream that runs on", async () => {
  const rig = new BoothRig();
  await rig.fund(1000n);
  const toll = await rig.booth.open(fare());
  assertEquals(await carry(toll, 2 * MIB), MIB);
  await rig.fund(5000n);
  await rig.clock.advanceAsync(300);
  assertEquals(await toll.refill(), true);
  assertEquals(await carry(toll, 2 * MIB), 2 * MIB);
  toll[Symbol.dispose]();
  await rig.close();
});

Deno.test("streams of a microcent do not go for nothing because each is rounded down", async () => {
  const rig = new BoothRig();
  await rig.fund(1_000_000n);
  for (let n = 0; n < 100; n++) {
    const toll = await rig.booth.open(fare({ sessionId: `s${n}` }));
    toll.allow(1000);
    toll.passed("down", 1000, 1000);
    toll[Symbol.dispose]();
    await rig.clock.advanceAsync(1000);
  }
  await rig.close();
  // 100,000 bytes are worth 95.4 micros; the last line may have less than one left over.
  const charged = await rig.charged();
  assert(charged >= 94n && charged <= 95n, `${charged}`);
});

Deno.test("more lines than fit one set are charged all the same", async () => {
  const rig = new BoothRig();
  await rig.fund(10_000_000n);
  const tolls = await Promise.all(Array.from({ length: 150 }, (_, n) => rig.booth.open(fare({ nodeId: `n${n}` }))));
  for (const toll of tolls) {
    toll.allow(10_000);
    toll.passed("down", 10_000, 10_000);
  }
  await rig.clock.advanceAsync(1000);
  assertEquals(await rig.charged(), 150n * 9n);
  for (const toll of tolls) toll[Symbol.dispose]();
  await rig.close();
});

Deno.test("traffic that costs nothing is let through without money, and leaves no trace in the ledger", async () => {
  const rig = new BoothRig();
  rig.price = { microsPerGib: 0n, feeBasisPoints: 2000 };
  const toll = await rig.booth.open(fare());
  assertEquals(await carry(toll, 10 * MIB), 10 * MIB);
  toll[Symbol.dispose]();
  await rig.close();
  assertEquals(await rig.ledger.transfers(clientAccount(CLIENT)), []);
});

Deno.test("where nothing is sold, nothing opens", async () => {
  const rig = new BoothRig();
  rig.price = undefined;
  assertEquals((await assertRejects(() => rig.booth.open(fare()), DialError)).code, "denied");
  await rig.close();
});

Deno.test("a hold is renewed while a stream is idle, and given back when the client has gone", async () => {
  const rig = new BoothRig();
  await rig.fund(1_000_000n);
  const toll = await rig.booth.open(fare());
  await rig.clock.advanceAsync(300_000);
  assertEquals(await rig.held(), 4n * MIB_MICROS);
  assertEquals(await carry(toll, 2 * MIB), 2 * MIB);
  toll[Symbol.dispose]();
  await rig.clock.advanceAsync(33_000);
  assertEquals([await rig.held(), await rig.charged()], [0n, 2n * MIB_MICROS]);
  // And nothing goes on for a client that nobody knows any more.
  const before = (await rig.ledger.transfers(clientAccount(CLIENT))).length;
  await rig.clock.advanceAsync(300_000);
  assertEquals((await rig.ledger.transfers(clientAccount(CLIENT))).length, before);
  await rig.close();
});

Deno.test("a client that comes back after its till was closed is served and charged as before", async () => {
  const rig = new BoothRig({ lingerMs: 1000 });
  await rig.fund(1_000_000n);
  for (let visit = 1; visit <= 3; visit++) {
    const toll = await rig.booth.open(fare({ sessionId: `s${visit}` }));
    assertEquals(await carry(toll, MIB), MIB);
    toll[Symbol.dispose]();
    for (let at = 0; at < 10; at++) await rig.clock.advanceAsync(1000);
    assertEquals([await rig.charged(), await rig.held()], [BigInt(visit) * MIB_MICROS, 0n]);
  }
  await rig.close();
});

Deno.test("a hold follows the speed, so that a fast client seldom waits and a slow one ties up little", async () => {
  const rig = new BoothRig();
  await rig.fund(100_000_000n);
  const toll = await rig.booth.open(fare());
  for (let second = 0; second < 10; second++) {
    assertEquals(await carry(toll, 100 * MIB, MIB), 100 * MIB);
    await rig.clock.advanceAsync(1000);
  }
  const fast = await rig.held();
  assert(fast >= 100n * MIB_MICROS && fast <= 400n * MIB_MICROS, `${fast}`);
  await rig.clock.advanceAsync(20_000);
  assertEquals(await rig.held() <= 16n * MIB_MICROS, true);
  toll[Symbol.dispose]();
  await rig.close();
});

Deno.test("an account that is suspended loses its streams at once, with the reason", async () => {
  const rig = new BoothRig();
  await rig.fund(1_000_000n);
  const toll = await rig.booth.open(fare());
  rig.booth.expel(CLIENT, new DialError("denied", "the account is suspended"));
  assertEquals([toll.cut.aborted, toll.cut.reason.code], [true, "denied"]);
  assertEquals(await toll.refill(), false);
  toll[Symbol.dispose]();
  await rig.close();
});

Deno.test("closing cuts streams, charges what they still tell, and gives every hold back", async () => {
  const rig = new BoothRig();
  await rig.fund(1_000_000n);
  const toll = await rig.booth.open(fare());
  toll.allow(3 * MIB);
  toll.cut.addEventListener("abort", () => {
    toll.passed("down", 2 * MIB, 3 * MIB);
    toll[Symbol.dispose]();
  });
  await rig.close();
  assertEquals([await rig.charged(), await rig.held()], [2n * MIB_MICROS, 0n]);
  assertEquals((await assertRejects(() => rig.booth.open(fare()), DialError)).code, "path_down");
});

Deno.test("where all that may be held at once is set aside, the next stream waits for it to come back", async () => {
  const rig = new BoothRig();
  rig.price = { microsPerGib: 1_000_000_000n, feeBasisPoints: 0 };
  await rig.fund(100_000_000n);
  const greedy = await rig.booth.open(fare());
  for (let turn = 0; turn < 4; turn++) {
    while (greedy.allow(MIB) > 0);
    await rig.booth.flush();
  }
  let patient: Toll | undefined;
  const opening = rig.booth.open(fare({ sessionId: "s2" })).then((toll) => patient = toll);
  await settle();
  assertEquals(patient, undefined);
  greedy[Symbol.dispose]();
  await opening;
  patient![Symbol.dispose]();
  await rig.close();
  assertEquals(await rig.charged(), 0n);
});

Deno.test("a hold that was lost while the process stood still is made up for by the next", async () => {
  const rig = new BoothRig();
  await rig.fund(1_000_000n);
  const toll = await rig.booth.open(fare());
  toll.allow(MIB);
  toll.passed("down", MIB, MIB);
  // Time passes for the ledger and no timer fires for the booth: it has been stopped and goes on.
  await rig.ledger.apply((await rig.ledger.pending(clientAccount(CLIENT))).map(({ id, debit, credit, reason }) => ({
    id: "expired",
    transfers: [{ id: "expired/void", phase: "void", pendingId: id, debit, credit, reason }],
  })));
  assertEquals(await rig.held(), 0n);
  await rig.clock.advanceAsync(1000);
  assertEquals([await rig.charged(), await rig.held()], [MIB_MICROS, 4n * MIB_MICROS]);
  assertEquals(await carry(toll, MIB), MIB);
  toll[Symbol.dispose]();
  await rig.close();
  assertEquals(await rig.charged(), 2n * MIB_MICROS);
});

Deno.test("two orchestrators may serve one client, who never spends more than there is", async () => {
  const rig = new BoothRig();
  await fund(rig.ledger, 20_000n, CLIENT);
  const [one, other] = [rig.booth, rig.newBooth({ name: "other" })];
  const tolls = [await one.open(fare()), await other.open(fare())];
  const carried = await Promise.all(tolls.map((toll) => carry(toll, 100 * MIB)));
  assertLessOrEqual(carried[0]! + carried[1]!, 20 * MIB);
  for (const toll of tolls) toll[Symbol.dispose]();
  await rig.clock.runUntil(one.close());
  await rig.close();
});
