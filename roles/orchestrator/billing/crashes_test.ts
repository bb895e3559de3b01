/**
 * What must hold of money whatever happens when: streams that come and go, a ledger that fails before or after it has
 * written, an orchestrator that is killed at any of its awaits and started again.
 *
 *   no client's account is ever overdrawn, and debits are always credits
 *   never charged twice:  charged ≤ what was delivered costs
 *   little is lost:       delivered − charged ≤ for each kill and client, the most that was delivered in any one tick
 */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { LedgerStore } from "../../../protocol/sharing/ledger.ts";
import { UNITS_PER_MICRO } from "../../../protocol/sharing/prices.ts";
import type { Fare, Price, Toll } from "../../../protocol/sharing/toll.ts";
import { BoothRig, MIB, mortal } from "./fixtures/booth.ts";

const TICK_MS = 2000;
const CLIENTS = ["aaaaaaaaaaaa", "bbbbbbbbbbbb"] as const;
const OWNERS = ["oooooooooooo", "pppppppppppp"] as const;
const PRICES: readonly Price[] = [
  { microsPerGib: 1_024_000n, feeBasisPoints: 2000 },
  { microsPerGib: 7_777_777n, feeBasisPoints: 333 },
];

const SESSIONS = 4;
const MAX_LINES = CLIENTS.length * OWNERS.length * SESSIONS;

/** What becomes of one question to the ledger. */
const faults = ["fails_before", "fails_after", "killed_before", "killed_after"] as const;
type Fault = (typeof faults)[number];

type Step =
  | { readonly kind: "open"; readonly client: number; readonly owner: number; readonly session: number }
  | { readonly kind: "carry"; readonly stream: number; readonly bytes: number; readonly delivered: number }
  | { readonly kind: "end"; readonly stream: number }
  | { readonly kind: "wait"; readonly ms: number }
  | { readonly kind: "fund"; readonly client: number; readonly amount: number }
  | { readonly kind: "outage"; readonly begins: boolean }
  | { readonly kind: "kill" };

const nat = (max: number) => fc.integer({ min: 0, max });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("open" as const),
      client: nat(1),
      owner: nat(1),
      session: nat(SESSIONS - 1),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("carry" as const),
      stream: nat(7),
      bytes: nat(2 * MIB),
      delivered: fc.constantFrom(0, 0.5, 1, 1, 1),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("end" as const), stream: nat(7) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: nat(3000) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("fund" as const),
      client: nat(1),
      amount: fc.integer({ min: 1, max: 9000 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("outage" as const), begins: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("kill" as const) }) },
);

class World {
  readonly rig = new BoothRig({ tickMs: TICK_MS, minHoldBytes: MIB, lingerMs: 5000 });
  readonly #faults: readonly (Fault | undefined)[];
  #asked = 0;
  #isOut = false;
  #streams: { readonly toll: Toll; readonly fare: Fare; readonly price: Price }[] = [];
  /** Of this run, and what all came to. */
  #deliveries: { readonly userId: string; readonly atMs: number; readonly units: number }[] = [];
  #deliveredUnits = 0;
  #lossUnits = 0;
  #kills = 0;
  #die = () => {};
  #isKilled = false;

  constructor(faults: readonly (Fault | undefined)[]) {
    this.#faults = faults;
  }

  async start(): Promise<void> {
    await this.rig.booth.close();
    for (const client of CLIENTS) await this.rig.fund(20_000n, client);
    this.#run();
  }

  async take(step: Step): Promise<void> {
    const { clock } = this.rig;
    if (step.kind === "open") await this.#open(step.client, step.owner, step.session);
    if (step.kind === "carry") this.#carry(step.stream, step.bytes, step.delivered);
    if (step.kind === "end") this.#streams.splice(step.stream % 4, 1)[0]?.toll[Symbol.dispose]();
    if (step.kind === "wait") await clock.advanceAsync(step.ms);
    if (step.kind === "fund") await this.rig.fund(BigInt(step.amount), CLIENTS[step.client]);
    if (step.kind === "outage") this.#isOut = step.begins;
    if (step.kind === "kill") this.#kill();
    await clock.advanceAsync(0);
    if (this.#isKilled) this.#runAgain();
    await this.#check();
  }

  async finish(): Promise<void> {
    for (const { toll } of this.#streams) toll[Symbol.dispose]();
    // A ledger that recovers, and time enough for it.
    this.#asked = Infinity;
    this.#isOut = false;
    await this.rig.clock.runUntil(this.rig.booth.close());
    await this.#check();
    const charged = Number(await this.rig.charged(CLIENTS[0]) + await this.rig.charged(CLIENTS[1]));
    const worth = this.#deliveredUnits / UNITS_PER_MICRO;
    // Of each line and run less than a micro may be left over.
    const left = MAX_LINES * (this.#kills + 1);
    const least = worth - this.#lossUnits / UNITS_PER_MICRO - left;
    assert(charged <= worth, `never charged twice: ${charged} of ${worth}`);
    assert(charged >= least, `at most a tick is lost with each kill: ${charged}, at least ${least} of ${worth}`);
    await this.rig.clock.advanceAsync(61_000);
    await this.rig.ledger.expire();
    for (const client of CLIENTS) assertEquals(await this.rig.held(client), 0n, "what was held comes back");
  }

  async #open(client: number, owner: number, session: number): Promise<void> {
    const fare = {
      userId: CLIENTS[client]!,
      sessionId: `s${session}`,
      nodeId: `n${owner}`,
      ownerId: OWNERS[owner]!,
      region: "eu",
    };
    const price = PRICES[session % 2]!;
    this.rig.price = price;
    const { booth } = this.rig;
    const opening = booth.open(fare).then((toll) => {
      if (this.rig.booth === booth) this.#streams.push({ toll, fare, price });
    }, () => {});
    await Promise.race([opening, this.rig.clock.advanceAsync(100)]);
  }

  #carry(at: number, bytes: number, share: number): void {
    const stream = this.#streams[at % this.#streams.length];
    if (!stream) return;
    const { toll, price, fare } = stream;
    const allowed = toll.allow(bytes);
    if (allowed === 0) {
      void toll.refill();
      return;
    }
    const delivered = Math.floor(allowed * share);
    toll.passed(bytes % 2 === 0 ? "up" : "down", delivered, allowed);
    const units = delivered * Number(price.microsPerGib);
    this.#deliveries.push({ userId: fare.userId, atMs: this.rig.clock.now(), units });
    this.#deliveredUnits += units;
  }

  #kill(): void {
    this.#die();
    this.#isKilled = true;
  }

  #runAgain(): void {
    this.#isKilled = false;
    this.#kills++;
    for (const client of CLIENTS) this.#lossUnits += this.#mostInOneTick(client);
    this.#deliveries = [];
    this.#streams = [];
    this.#run();
  }

  /** While a ledger is away nothing passes, so what is lost need not be of the last tick by the clock. */
  #mostInOneTick(client: string): number {
    const own = this.#deliveries.filter(({ userId }) => userId === client);
    const sums = own.map(({ atMs: fromMs }) =>
      own.reduce((sum, { atMs, units }) => atMs >= fromMs && atMs - fromMs <= TICK_MS ? sum + units : sum, 0)
    );
    return Math.max(0, ...sums);
  }

  #run(): void {
    const { ledger, die } = mortal(this.#faulty(this.rig.ledger));
    this.#die = die;
    this.rig.newBooth({ ledger });
  }

  /** Each question to the ledger meets the next fault. */
  #faulty(ledger: LedgerStore): LedgerStore {
    const ask = async <T>(what: () => Promise<T>): Promise<T> => {
      if (this.#isOut) throw new Error("the ledger is gone");
      const fault = this.#faults[this.#asked++];
      if (fault === "fails_before") throw new Error("the ledger fails");
      if (fault === "killed_before") return await this.#killedNow();
      const answer = await what();
      if (fault === "fails_after") throw new Error("the ledger fails, and has written");
      if (fault === "killed_after") return await this.#killedNow();
      return answer;
    };
    return {
      ...ledger,
      apply: (sets) => ask(() => ledger.apply(sets)),
      balance: (account) => ask(() => ledger.balance(account)),
      pending: (account) => ask(() => ledger.pending(account)),
      expire: (limit) => ask(() => ledger.expire(limit)),
    };
  }

  #killedNow(): Promise<never> {
    this.#kill();
    return new Promise<never>(() => {});
  }

  async #check(): Promise<void> {
    const totals = await this.rig.ledger.totals();
    assertEquals([totals.debitsPosted, totals.debitsPending], [totals.creditsPosted, totals.creditsPending]);
    for (const client of CLIENTS) assert(await this.rig.available(client) >= 0n, `${client} is overdrawn`);
  }
}

Deno.test("whatever crashes when: nobody is overdrawn or charged twice, and a kill loses at most a tick", async () => {
  const fault = fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, fc.constantFrom(...faults));
  const plan = fc.array(fault, { minLength: 40, maxLength: 200 });
  const steps = fc.array(step, { minLength: 20, maxLength: 120 });
  await fc.assert(
    fc.asyncProperty(steps, plan, async (steps, faults) => {
      const world = new World(faults);
      await world.start();
      for (const step of steps) await world.take(step);
      await world.finish();
    }),
    { numRuns: 300 },
  );
});
