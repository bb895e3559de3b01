/**
 * One client's till: keeps the money of its meter up, and writes what is due into the ledger.
 *
 *   tick ──┐
 *   low ───┼─▶ settle: plan ─▶ ledger (again until it answers) ─▶ settled      one at a time
 *   refill ┘      insufficient: again with what there is; hold lost: again with a new one
 *
 * `tick` comes twice in a tick. It begins a settlement when something is due, and when it finds one still under way nothing
 * may pass until that has ended: so what has been delivered and is not in the ledger is never more than one tick's, however
 * slow the ledger is, and a crash loses no more than that.
 *
 * A hold is as large as two half ticks of what is used, doubled when it runs low sooner, at least `minHoldBytes`.
 */

import { orAborted } from "../../../protocol/abort.ts";
import { delay } from "../../../protocol/clock.ts";
import { DialError, messageOf } from "../../../protocol/errors.ts";
import { available, clientAccount, type SetOutcome, type TransferSet } from "../../../protocol/sharing/ledger.ts";
import { MeteredToll, type TollKeeper } from "../../../protocol/sharing/metered_toll.ts";
import type { Micros } from "../../../protocol/sharing/money.ts";
import { UNITS_PER_MICRO } from "../../../protocol/sharing/prices.ts";
import type { Fare, Price } from "../../../protocol/sharing/toll.ts";
import {
  MAX_HOLD_MICROS,
  microsFor,
  type Settlement,
  TollMeter,
  unitsOf,
} from "../../../protocol/sharing/toll_meter.ts";
import { takeBackHolds, tollSetId } from "./earlier_holds.ts";
import { LedgerGone, type TillDeps } from "./till_deps.ts";

/** An account that had no money is not asked for some again sooner. */
const SPENT_MS = 50;
/** So much may be set aside for other streams when one is told that the money has come to its end. */
const CUT_WITHIN_BYTES = 1024 * 1024;
/** A settlement whose hold was lost, or that others were quicker than, is tried so often. */
const MAX_TURNS = 5;
/** A hold that is so many times too large is made smaller. */
const TOO_LARGE = 4;
const MAX_HOLD_UNITS = unitsOf(MAX_HOLD_MICROS);

export class Till implements TollKeeper {
  readonly meter: TollMeter;
  isPaused = false;
  lowUnits = 0;
  readonly #deps: TillDeps;
  readonly #tolls = new Set<MeteredToll>();
  /** Wake those who wait for what other streams give back. */
  #waiters: (() => void)[] = [];
  #wantUnits = 0;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #isClean = false;
  #isLowTold = false;
  #ends = false;
  #spentAtMs = -Infinity;
  #idleSinceMs: number;

  constructor(userId: string, deps: TillDeps) {
    this.meter = new TollMeter(userId);
    this.#deps = deps;
    this.#idleSinceMs = deps.clock.now();
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  /** Nobody uses it and nothing is held or due: it may be forgotten. */
  get isOver(): boolean {
    return this.#tolls.size === 0 && !this.#running && !this.meter.hold && !this.meter.isDue;
  }

  get isInUse(): boolean {
    return this.#tolls.size > 0;
  }

  async open(fare: Fare, price: Price): Promise<MeteredToll> {
    const line = this.meter.join(fare, price);
    const toll = new MeteredToll(this, line);
    this.#ends = false;
    this.#tolls.add(toll);
    this.#wantAtLeast(line.unitsPerByte * this.#deps.minHoldBytes);
    if (toll.isAllowed || await this.refill(toll)) return toll;
    const reason = toll.cut.aborted ? toll.cut.reason : new DialError("unpaid", NO_MONEY, { isForAll: true });
    toll[Symbol.dispose]();
    throw reason;
  }

  leave(toll: MeteredToll): void {
    this.#tolls.delete(toll);
    this.#idleSinceMs = this.#deps.clock.now();
  }

  /** Ends every stream. */
  expel(reason: DialError): void {
    for (const toll of this.#tolls) toll.end(reason);
    this.onReturned();
  }

  onLow(): void {
    if (this.#isLowTold) return;
    this.#isLowTold = true;
    this.#wantAtLeast(2 * this.#wantUnits);
    void this.settle();
  }

  /** The client's money may have become more. */
  onCredit(): void {
    this.#spentAtMs = -Infinity;
    this.onReturned();
  }

  onReturned(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }

  async refill(toll: MeteredToll): Promise<boolean> {
    while (toll.isOpen && !toll.cut.aborted) {
      if (toll.isAllowed) return true;
      if (this.isPaused || !this.#isSpent()) {
        if (!await this.#isSettledInTime()) toll.end(new DialError("path_down", NO_LEDGER));
      } else if (this.#asideForOthers() > CUT_WITHIN_BYTES * toll.line.unitsPerByte) {
        await new Promise<void>((resolve) => this.#waiters.push(resolve));
      } else return false;
    }
    return false;
  }

  /** Twice in a tick: begins a settlement, or holds everything up until the one under way has ended. */
  tick(): void {
    if (this.#running) {
      this.isPaused = true;
      return;
    }
    this.#isLowTold = false;
    this.#resize();
    const isIdle = this.#tolls.size === 0 && this.#deps.clock.now() - this.#idleSinceMs >= this.#deps.lingerMs;
    if (isIdle && this.meter.hold) this.#ends = true;
    if (this.#ends || this.meter.isDue || this.#growth() !== 0n || this.#isOld()) void this.settle();
  }

  /** Charges what is due and gives back what is held, for streams that have ended or must have. */
  async end(): Promise<void> {
    for (const toll of this.#tolls) toll[Symbol.dispose]();
    for (let turn = 0; turn < MAX_TURNS && !this.isOver; turn++) {
      this.#ends = true;
      await this.settle();
    }
  }

  /** Resolves once a settlement that began after now has ended. Never rejects. */
  settle(): Promise<void> {
    if (!this.#running) return this.#begin();
    return this.#next ??= this.#running.then(() => this.#begin());
  }

  #begin(): Promise<void> {
    this.#next = undefined;
    return this.#running = this.#settle().finally(() => {
      // Where another is to follow this one is under way until that begins: whoever asks in between must not begin one too.
      if (!this.#next) this.#running = undefined;
    });
  }

  async #settle(): Promise<void> {
    try {
      await this.#takeBack();
      await this.#settleAll();
      this.isPaused = false;
    } catch (error) {
      if (!(error instanceof LedgerGone)) this.#complain("failed", messageOf(error));
    }
    const isSpent = this.#isSpent();
    this.lowUnits = isSpent ? 0 : this.#wantUnits / 2;
    if (!isSpent) this.#isLowTold = false;
    this.onReturned();
  }

  async #settleAll(): Promise<void> {
    let growth = this.#growth();
    let isShort = false;
    for (let turn = 0; turn < MAX_TURNS; turn++) {
      const result = await this.#settleOnce(growth);
      if (result === "done" || result === "failed") break;
      if (result === "insufficient") {
        const affordable = await this.#affordable(growth);
        isShort = affordable < growth;
        growth = affordable;
      } else growth = result === "lost" ? this.#growth() : 0n;
    }
    if (isShort) this.#spentAtMs = this.#deps.clock.now();
  }

  /** "more": what is due did not fit, or can be charged now that there is a hold again. */
  async #settleOnce(growth: Micros): Promise<"done" | "more" | "lost" | "insufficient" | "failed"> {
    const { clock, boothName, runId, holdTtlMs, counters } = this.#deps;
    const ends = this.#ends && this.#tolls.size === 0;
    const { hold } = this.meter;
    // As much is held as may be, and all of it is set aside: more can only come back, as for one who has no more.
    if (growth > 0n && hold && hold.micros >= MAX_HOLD_MICROS) this.#spentAtMs = clock.now();
    const settlement = this.meter.plan({
      setId: tollSetId({ boothName, runId }, this.#deps.nextSetNumber(), this.meter.userId),
      growth,
      renews: this.#isOld(),
      ends,
      expiresAtMs: clock.wallNow() + holdTtlMs,
    });
    if (ends) this.#ends = false;
    if (!settlement) return "done";
    const outcome = await this.#write(settlement.set);
    const result = this.meter.settled(settlement, outcome.status);
    counters.settlements.add(1, { result });
    if (result === "lost" || result === "failed") this.#complain(result, outcome.detail ?? outcome.status);
    if (result !== "done") return result;
    this.#count(settlement);
    return settlement.isFull || (!hold && this.meter.isDue) ? "more" : "done";
  }

  #count({ charges }: Settlement): void {
    for (const { charge } of charges) this.#deps.counters.charged.add(Number(charge));
  }

  #complain(result: "lost" | "failed", error: string): void {
    this.#deps.log.error("A settlement was not taken", { user_id: this.meter.userId, result, error });
    // Nothing that comes next would be taken either: better no traffic than traffic that nobody pays for.
    if (result === "failed") this.expel(new DialError("path_down", NO_LEDGER));
  }

  /** What can be had of the growth now. */
  async #affordable(growth: Micros): Promise<Micros> {
    const account = clientAccount(this.meter.userId);
    const there = available(await this.#answerOf(() => this.#deps.ledger.balance(account)));
    if (there <= 0n) return 0n;
    return there < growth ? there : growth;
  }

  async #takeBack(): Promise<void> {
    if (this.#isClean || this.#deps.isOneOfMany) return;
    const { boothName, runId, ledger, log } = this.#deps;
    const account = clientAccount(this.meter.userId);
    const holds = await this.#answerOf(() => ledger.pending(account));
    for (const set of takeBackHolds(holds, { boothName, runId })) {
      const { status } = await this.#write(set);
      log.info("Took back what an earlier run had held", { user_id: this.meter.userId, status });
    }
    this.#isClean = true;
  }

  #write(set: TransferSet): Promise<SetOutcome> {
    return this.#answerOf(() => this.#deps.queue.apply(set));
  }

  /** Asks until there is an answer, or the booth has closed: what is asked may be asked twice. */
  async #answerOf<T>(ask: () => Promise<T>): Promise<T> {
    const { clock, stop, log, newBackoff } = this.#deps;
    const backoff = newBackoff();
    for (let failures = 0;; failures++) {
      // What was asked and not answered may have been written: asked anew under another id it would be written twice.
      if (stop.aborted) throw new LedgerGone("the booth has closed");
      try {
        return await orAborted(ask(), stop);
      } catch (error) {
        if (stop.aborted) throw new LedgerGone(messageOf(error));
        if (failures === 0) log.warn("The ledger does not answer", { error: messageOf(error) });
      }
      await delay(clock, backoff.nextMs(), stop).catch((error) => {
        throw new LedgerGone(messageOf(error));
      });
    }
  }

  /** By how much the hold should grow, in micros; below 0, shrink. */
  #growth(): Micros {
    const { left } = this.meter;
    const want = this.#wantUnits;
    if (this.#tolls.size === 0) return left <= -UNITS_PER_MICRO ? microsFor(-left) : 0n;
    if (left < want / 2 || left < 0) return microsFor(want - left);
    if (left > TOO_LARGE * want) return -BigInt(Math.floor((left - want) / UNITS_PER_MICRO));
    return 0n;
  }

  #isSpent(): boolean {
    return this.#deps.clock.now() - this.#spentAtMs < SPENT_MS;
  }

  #isOld(): boolean {
    const { hold } = this.meter;
    return hold !== undefined && hold.expiresAtMs - this.#deps.clock.wallNow() < this.#deps.holdTtlMs / 2;
  }

  /** Follows what was used since the last half tick. */
  #resize(): void {
    let used = 0;
    let dearest = 0;
    for (const line of this.meter.lines) {
      used += line.bytesSinceLook() * line.unitsPerByte;
      if (line.tolls > 0 && line.unitsPerByte > dearest) dearest = line.unitsPerByte;
    }
    this.#wantUnits /= 2;
    this.#wantAtLeast(Math.max(2 * used, dearest * this.#deps.minHoldBytes));
    this.lowUnits = this.#wantUnits / 2;
  }

  #wantAtLeast(units: number): void {
    this.#wantUnits = Math.min(MAX_HOLD_UNITS, Math.max(this.#wantUnits, Math.ceil(units)));
  }

  /** What streams have that do not wait themselves: it may come back. */
  #asideForOthers(): number {
    let waiting = 0;
    for (const toll of this.#tolls) if (toll.isWaiting) waiting += toll.asideUnits;
    return this.meter.aside - waiting;
  }

  async #isSettledInTime(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    using _timer = this.#deps.clock.after(this.#deps.patienceMs, () => resolve(false));
    void this.settle().then(() => resolve(true));
    return await promise;
  }
}

const NO_MONEY = "the account has no money left";
const NO_LEDGER = "the ledger cannot be reached at present";
