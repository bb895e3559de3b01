/**
 * Opens and closes what a node shares, as its owner's rules and the machine's state want it.
 *
 *   every 30 s: battery, connection ┐
 *   caps, owner's word: at once     ├─▶ pausesOf ─▶ changed? ─▶ shared path opens, or closes and is cut after a grace
 *   when the next pause begins/ends ┘                          └▶ onChange: orchestrators, log, status
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { Clock, Timer } from "../../protocol/clock.ts";
import type { Log } from "../../protocol/log.ts";
import type { Schedule } from "../../protocol/sharing/schedule.ts";
import type { SharedPath } from "../../net/sharing/shared_path.ts";
import { repeat } from "../repeating.ts";
import type { Battery } from "./battery.ts";
import type { Connection } from "./connection.ts";
import { type Pause, type PauseRules, pausesOf } from "./pauses.ts";
import type { UsageGate } from "./usage.ts";

export interface GuardOptions {
  readonly rules: PauseRules;
  readonly schedule: Schedule;
  readonly usage: Pick<UsageGate, "spent" | "problem" | "recover">;
  readonly shared: Pick<SharedPath, "closedBecause" | "cut">;
  readBattery(): Promise<Battery | undefined>;
  readConnection(): Promise<Connection>;
  readonly clock: Clock;
  readonly log: Log;
  /** What pauses the node is different now. */
  onChange(pauses: readonly Pause[]): void;
}

/** The owner's own word. */
export type OwnerPause = { readonly untilMs?: number | undefined };

const LOOK_EVERY_MS = 30_000;
/** The longest a timer is set for: a machine that sleeps wakes to another time. */
const LONGEST_WAIT_MS = 60_000;

export class SharingGuard implements Disposable {
  readonly #options: GuardOptions;
  readonly #watch: Disposable;
  #ownerPause: OwnerPause | undefined;
  #battery: Battery | undefined;
  #connection: Connection | undefined;
  #pauses: readonly Pause[] = [];
  #isSettled = false;
  #timer: Timer | undefined;
  #cutting: Timer | undefined;
  #cutAtMs = Infinity;
  #isClosed = false;

  private constructor(options: GuardOptions, ownerPause: OwnerPause | undefined) {
    this.#options = options;
    this.#ownerPause = ownerPause;
    const { clock, log } = options;
    this.#watch = repeat({
      clock,
      everyMs: LOOK_EVERY_MS,
      look: () => this.look(),
      onProblem: (error) => log.warn("Cannot see how this machine is", { error }),
    });
  }

  /** Looks first, so that nothing is shared before it is known whether it may be. */
  static async start(options: GuardOptions, ownerPause?: OwnerPause): Promise<SharingGuard> {
    const guard = new SharingGuard(options, ownerPause);
    await guard.look();
    return guard;
  }

  /** None: the node shares. */
  get pauses(): readonly Pause[] {
    return this.#pauses;
  }

  get battery(): Battery | undefined {
    return this.#battery;
  }

  get connection(): Connection | undefined {
    return this.#connection;
  }

  /** Pauses, or with undefined goes on as far as the owner is concerned. */
  setOwnerPause(pause: OwnerPause | undefined): void {
    this.#ownerPause = pause;
    this.refresh();
  }

  /** Asks the machine how it is. */
  async look(): Promise<void> {
    const { readBattery, readConnection, usage } = this.#options;
    const [battery, connection] = await Promise.all([readBattery(), readConnection(), usage.recover()]);
    this.#battery = battery;
    this.#connection = connection;
    this.refresh();
  }

  /** Judges anew. */
  refresh(): void {
    if (this.#isClosed) return;
    const { clock, rules, schedule, usage } = this.#options;
    const nowMs = clock.wallNow();
    if ((this.#ownerPause?.untilMs ?? Infinity) <= nowMs) this.#ownerPause = undefined;
    const scheduled = schedule.at(nowMs);
    const pauses = pausesOf(rules, {
      owner: this.#ownerPause,
      spent: usage.spent,
      usageProblem: usage.problem,
      schedule: scheduled,
      battery: this.#battery,
      isMetered: this.#connection?.isMetered ?? false,
    }, this.#pauses.some(({ reason }) => reason === "battery"));
    this.#apply(pauses);
    const next = Math.min(scheduled.untilMs ?? Infinity, ...pauses.map(({ untilMs }) => untilMs ?? Infinity));
    this.#timer?.cancel();
    this.#timer = clock.after(Math.max(0, Math.min(LONGEST_WAIT_MS, next - nowMs)), () => this.refresh());
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#watch[Symbol.dispose]();
    this.#timer?.cancel();
    this.#cutting?.cancel();
  }

  #apply(pauses: readonly Pause[]): void {
    const { shared, onChange } = this.#options;
    const isChanged = !this.#isSettled || !isSame(pauses, this.#pauses);
    this.#pauses = pauses;
    this.#isSettled = true;
    if (!isChanged) return;
    shared.closedBecause = pauses[0]?.text;
    if (pauses.length > 0) this.#cutAfter(Math.min(...pauses.map(({ graceMs }) => graceMs)));
    else this.#keepAll();
    onChange(pauses);
  }

  /** A second pause gives no more time than the first. */
  #cutAfter(graceMs: number): void {
    const { clock, shared } = this.#options;
    const atMs = clock.now() + graceMs;
    if (atMs >= this.#cutAtMs) return;
    this.#cutAtMs = atMs;
    this.#cutting?.cancel();
    if (graceMs === 0) return shared.cut();
    this.#cutting = clock.after(graceMs, () => shared.cut());
  }

  #keepAll(): void {
    this.#cutting?.cancel();
    this.#cutAtMs = Infinity;
  }
}

/** What a battery has left is not what tells pauses apart. */
function isSame(a: readonly Pause[], b: readonly Pause[]): boolean {
  return a.length === b.length &&
    a.every(({ reason, untilMs }, at) => reason === b[at]!.reason && untilMs === b[at]!.untilMs);
}

/** A pause by the owner, for so long or until they say otherwise. */
export function ownerPause(nowMs: number, forMs: number | undefined): OwnerPause {
  if (forMs !== undefined && !(forMs > 0)) {
    throw new CulvertError("invalid", `Cannot pause: the time must be above 0, got ${forMs} ms`);
  }
  return forMs === undefined ? {} : { untilMs: nowMs + forMs };
}
