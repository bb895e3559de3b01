/**
 * Where the tolls of all clients are taken: a till for each (`till.ts`), one clock for all, one queue to the ledger.
 *
 *   open(fare) ─▶ price ─▶ till: hold ─▶ Toll        twice a tick: every till writes what is due
 *
 * Closing cuts every stream, waits for what they still have to tell, charges all of it and gives back every hold. After a
 * kill the next run takes back the holds it finds (`earlier_holds.ts`), and those of clients that do not come expire; so do
 * all where several processes are one orchestrator, since nobody can tell a killed one's from another's.
 */

import { Backoff } from "../../../protocol/backoff.ts";
import { type Clock, delay, type Timer } from "../../../protocol/clock.ts";
import { encodeBase32 } from "../../../protocol/encoding.ts";
import { DialError, messageOf } from "../../../protocol/errors.ts";
import { type Log, silentLog } from "../../../protocol/log.ts";
import { type Metrics, noMetrics } from "../../../protocol/metrics.ts";
import type { Random } from "../../../protocol/random.ts";
import type { LedgerStore } from "../../../protocol/sharing/ledger.ts";
import type { Fare, Price, Toll, TollBooth } from "../../../protocol/sharing/toll.ts";
import { isMeterable } from "../../../protocol/sharing/toll_meter.ts";
import { LedgerQueue } from "./ledger_queue.ts";
import { Till } from "./till.ts";
import type { TillDeps, TillSettings } from "./till_deps.ts";

export interface TollBoothOptions extends Partial<TillSettings> {
  /** How much revenue a crash may lose, as time. Default 2 s. */
  readonly tickMs?: number;
  /** How many clients at once; one more is told `busy`. Default 100,000. */
  readonly maxAccounts?: number;
  /** How long streams have to end when the booth closes. Default 1 s. */
  readonly drainMs?: number;
}

export interface TollBoothDeps {
  readonly ledger: Pick<LedgerStore, "apply" | "balance" | "pending" | "expire">;
  readonly clock: Clock;
  readonly random: Random;
  /** The same after a restart, and nobody else's: the orchestrator's peer id. */
  readonly name: string;
  /** Undefined: nothing is sold there. */
  priceOf(fare: Fare): Price | undefined | Promise<Price | undefined>;
  readonly log?: Log;
  readonly metrics?: Metrics;
}

const DEFAULTS: TillSettings = {
  minHoldBytes: 4 * 1024 * 1024,
  holdTtlMs: 60_000,
  lingerMs: 30_000,
  patienceMs: 10_000,
  isOneOfMany: false,
};
const EXPIRE_EVERY_MS = 15_000;
/** The ledger is asked again this soon at first, and no later than this. */
const RETRY = { baseMs: 50, maxMs: 1000 };

export class LedgerTollBooth implements TollBooth, AsyncDisposable {
  readonly #deps: TollBoothDeps;
  readonly #tickMs: number;
  readonly #drainMs: number;
  readonly #maxAccounts: number;
  readonly #log: Log;
  readonly #tillDeps: TillDeps;
  readonly #tills = new Map<string, Till>();
  readonly #accounts;
  readonly #stop = new AbortController();
  #tickTimer: Timer;
  #expireAtMs: number;
  #closing: Promise<void> | undefined;

  constructor(deps: TollBoothDeps, options: TollBoothOptions = {}) {
    const { tickMs = 2000, maxAccounts = 100_000, drainMs = 1000, ...settings } = options;
    if (!(tickMs >= 2)) throw new RangeError(`Cannot open a booth: tickMs must be at least 2, got ${tickMs}`);
    const { clock, random, ledger, name, log = silentLog, metrics = noMetrics } = deps;
    this.#deps = deps;
    this.#log = log;
    this.#tickMs = tickMs;
    this.#drainMs = drainMs;
    this.#maxAccounts = maxAccounts;
    this.#accounts = metrics.gauge("toll_accounts", "Clients whose traffic is being charged");
    let sets = 0;
    this.#tillDeps = {
      ...DEFAULTS,
      ...settings,
      ...{ clock, log, ledger },
      queue: new LedgerQueue(ledger),
      boothName: name,
      runId: encodeBase32(random.fill(new Uint8Array(10))),
      nextSetNumber: () => sets++,
      stop: this.#stop.signal,
      newBackoff: () => new Backoff(random, RETRY),
      counters: {
        settlements: metrics.counter("toll_settlements_total", "Sets of charges and holds by what became of them", [
          "result",
        ]),
        charged: metrics.counter("toll_charged_micros_total", "What clients were charged, in millionths"),
      },
    };
    this.#expireAtMs = clock.now() + EXPIRE_EVERY_MS;
    this.#tickTimer = this.#wind();
  }

  async open(fare: Fare): Promise<Toll> {
    const price = await this.#deps.priceOf(fare);
    if (!price || !isMeterable(price)) {
      throw new DialError("denied", "nothing is sold in this region", { isForAll: true });
    }
    if (this.#closing) throw stopping();
    return await this.#tillOf(fare.userId).open(fare, price);
  }

  /** Ends every stream of an account: it was suspended, say. */
  expel(userId: string, reason: DialError): void {
    this.#tills.get(userId)?.expel(reason);
  }

  /** Money has come in for an account: it can be spent at once. */
  credited(userId: string): void {
    this.#tills.get(userId)?.onCredit();
  }

  /** Writes all that is due now. Rejects never; a ledger that does not answer is waited for. */
  async flush(): Promise<void> {
    await Promise.all([...this.#tills.values()].map((till) => till.settle()));
  }

  /** Cuts all streams, charges them and gives every hold back, as far as the ledger answers in time. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #tillOf(userId: string): Till {
    let till = this.#tills.get(userId);
    if (till) return till;
    if (this.#tills.size >= this.#maxAccounts) {
      throw new DialError("busy", "there are too many clients at present", { isForAll: true });
    }
    till = new Till(userId, this.#tillDeps);
    this.#tills.set(userId, till);
    this.#accounts.set(this.#tills.size);
    return till;
  }

  #wind(): Timer {
    return this.#deps.clock.after(this.#tickMs / 2, () => {
      this.#tickTimer = this.#wind();
      this.#tick();
    });
  }

  #tick(): void {
    for (const [userId, till] of this.#tills) {
      if (till.isOver) this.#tills.delete(userId);
      else till.tick();
    }
    this.#accounts.set(this.#tills.size);
    const { clock, ledger } = this.#deps;
    if (clock.now() < this.#expireAtMs) return;
    this.#expireAtMs = clock.now() + EXPIRE_EVERY_MS;
    ledger.expire().catch((error) => {
      this.#log.warn("Cannot give back holds that have expired", { error: messageOf(error) });
    });
  }

  async #close(): Promise<void> {
    const { clock } = this.#deps;
    this.#tickTimer.cancel();
    const tills = [...this.#tills.values()];
    for (const till of tills) till.expel(stopping());
    const untilMs = clock.now() + this.#drainMs;
    while (tills.some((till) => till.isInUse) && clock.now() < untilMs) await delay(clock, DRAIN_LOOK_MS);
    using _patience = clock.after(this.#tillDeps.patienceMs, () => this.#stop.abort());
    await Promise.all(tills.map((till) => till.end()));
    this.#stop.abort();
    this.#tills.clear();
  }
}

const DRAIN_LOOK_MS = 10;

function stopping(): DialError {
  return new DialError("path_down", "the orchestrator is about to stop");
}
