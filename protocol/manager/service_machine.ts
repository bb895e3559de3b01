/**
 * When a service is started, stopped, mended and given up.
 *
 *   stopped ──spawn──▶ starting ──verified──▶ running          starting, running ──it ended──▶ stopped
 *      ▲                   │                     │             stopped ──the wait is over──▶ starting
 *      │                   └── stop, too late ──▶ ◀── stop, failing
 *      └──nothing left── stopping (SIGTERM, its time, SIGKILL)
 *
 * A start counts once the process has lived for a while and `verify` has seen all that must hold. What ends without being
 * asked to, or does not start, is mended: started again after a wait (`restart_budget.ts`), until that has happened too
 * often; then it is given up, which only an operator's start undoes. What an operator starts begins afresh, with no
 * restarts counted.
 *
 * Beside the state it knows what there is of a process, and spawns only when there is nothing:
 *
 *   none ──spawn──▶ coming ──spawned──▶ alive ──exited──▶ leftovers ──swept──▶ none
 *                      └──unspawned──▶ none
 *
 * A machine without time or timers of its own: events carry the time, `nextAtMs` says when to call `tick`. Events that do
 * not fit are ignored. Not here: processes (`roles/manager/runner.ts`), and what "failing" is (`checks.ts`, `limits.ts`).
 */

import type { ServiceState } from "./report.ts";
import { RestartBudget } from "./restart_budget.ts";
import type { ServiceAction, ServiceEvent, ServiceNews } from "./service_events.ts";
import type { WatchdogSettings } from "./watchdog_settings.ts";

interface NextStart {
  readonly atMs: number;
  /** Nobody has asked for it: it counts as a restart. */
  readonly isMending: boolean;
}

export class ServiceMachine {
  readonly #budget: RestartBudget;
  #settings: WatchdogSettings;
  #state: ServiceState = "stopped";
  #sinceMs: number;
  #process: "none" | "coming" | "alive" | "leftovers" = "none";
  /** Once it is stopped and nothing is left of its process. */
  #next: NextStart | undefined;
  /** What follows on stopping. */
  #then: "rest" | "start" | "mend" = "rest";
  #gaveUp = false;
  #isWanted = false;
  #reason: string | undefined;
  #lastExit: string | undefined;
  #restarts = 0;
  /** While starting: since when it counts as alive, what it lacks, and until when it must lack nothing. */
  #settledAtMs = Infinity;
  #lacks: string | undefined;
  #startByMs = Infinity;
  /** While stopping. */
  #killAtMs = Infinity;
  #kills = 0;
  #endedAtMs = 0;
  /** While running: up to when the budget has heard of it, and whether it was told that it does not work. */
  #countedToMs = 0;
  #isToldUnhealthy = false;
  #actions: ServiceAction[] = [];

  constructor(settings: WatchdogSettings, nowMs: number) {
    this.#settings = settings;
    this.#budget = new RestartBudget(settings);
    this.#sinceMs = nowMs;
  }

  get state(): ServiceState {
    return this.#state;
  }

  /** When it came into this state. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  get gaveUp(): boolean {
    return this.#gaveUp;
  }

  /** Whether it is to run, be it that it does, waits to be started again, or was given up; not once it was told to stop. */
  get isWanted(): boolean {
    return this.#isWanted;
  }

  /** Why it is stopped, does not work, or is being restarted. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** How its last process ended. */
  get lastExit(): string | undefined {
    return this.#lastExit;
  }

  /** Those that nobody asked for, since the machine was made. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Of them those that count. */
  recentRestarts(nowMs: number): number {
    this.#countRunning(nowMs);
    return this.#budget.used;
  }

  /** When it will be started again, while a wait lasts. */
  get nextStartAtMs(): number | undefined {
    return this.#state === "stopped" ? this.#next?.atMs : undefined;
  }

  /** When `tick` has something to do. */
  get nextAtMs(): number | undefined {
    const atMs = this.#nextAtMs();
    return atMs === Infinity ? undefined : atMs;
  }

  #nextAtMs(): number {
    switch (this.#state) {
      case "stopped":
        return this.#process === "none" ? this.#next?.atMs ?? Infinity : Infinity;
      case "starting":
        return Math.min(this.#settledAtMs, this.#startByMs);
      case "running":
        return Infinity;
      case "stopping":
        return this.#killAtMs;
    }
  }

  handle(event: ServiceEvent, nowMs: number): ServiceAction[] {
    this.#countRunning(nowMs);
    this.#take(event, nowMs);
    return this.#takeActions();
  }

  /** Does what is due. */
  tick(nowMs: number): ServiceAction[] {
    this.#countRunning(nowMs);
    this.#startIfDue(nowMs);
    if (this.#settledAtMs <= nowMs) this.#verify(nowMs);
    if (this.#startByMs <= nowMs) this.#startedTooLate(nowMs);
    if (this.#killAtMs <= nowMs) this.#kill(nowMs);
    return this.#takeActions();
  }

  /** Holds from now on; times that run already go on as they were. Without the watchdog no restart is waited for. */
  configure(settings: WatchdogSettings): ServiceAction[] {
    this.#settings = settings;
    this.#budget.configure(settings);
    if (!settings.enabled && this.#next?.isMending) {
      this.#next = undefined;
      this.#tell("alert", "crashed", `${this.#reason ?? "It has ended"}. It is no longer restarted: no watchdog`);
    }
    return this.#takeActions();
  }

  #take(event: ServiceEvent, nowMs: number): void {
    switch (event.is) {
      case "start":
        return this.#start(nowMs);
      case "stop":
        return this.#stop(nowMs);
      case "restart":
        return this.#restart(nowMs);
      case "adopted":
        return this.#adopt(nowMs);
      case "resting":
        return this.#rest(event.gaveUp, event.reason);
      case "spawned":
        return this.#spawned(nowMs);
      case "unspawned":
        return this.#unspawned(event.reason, nowMs);
      case "verified":
        return this.#verified(nowMs);
      case "unverified":
        this.#lacks = event.reason;
        return;
      case "exited":
        return this.#exited(event.how, event.atMs, nowMs);
      case "swept":
        return this.#swept(nowMs);
      case "failing":
        return this.#failing(event.reason, event.isHarmful, nowMs);
      case "recovered":
        return this.#recovered();
    }
  }

  #start(nowMs: number): void {
    this.#isWanted = true;
    if (this.#state === "stopping") this.#then = "start";
    if (this.#state !== "stopped") return;
    this.#next = { atMs: nowMs, isMending: false };
    this.#startIfDue(nowMs);
  }

  /** Of one that is stopped only the wait ends: why it is stopped remains. */
  #stop(nowMs: number): void {
    this.#isWanted = false;
    this.#next = undefined;
    if (this.#state === "stopping") this.#then = "rest";
    else if (this.#state !== "stopped") this.#end("rest", "It is stopped", nowMs);
  }

  #restart(nowMs: number): void {
    this.#isWanted = true;
    if (this.#state === "stopped" || this.#state === "stopping") this.#start(nowMs);
    else this.#end("start", "It is stopped, to be started again", nowMs);
  }

  #adopt(nowMs: number): void {
    if (this.#state !== "stopped" || this.#process !== "none") return;
    this.#process = "alive";
    this.#next = this.#reason = undefined;
    this.#gaveUp = false;
    this.#isWanted = true;
    this.#enter("running", nowMs);
    this.#tell("info", "adopted", "It was running already and goes on");
  }

  #rest(gaveUp: boolean, reason: string | undefined): void {
    if (this.#state !== "stopped" || this.#process !== "none") return;
    this.#next = undefined;
    this.#gaveUp = this.#isWanted = gaveUp;
    this.#reason = reason;
  }

  /** The only place that spawns. */
  #startIfDue(nowMs: number): void {
    const next = this.#next;
    if (this.#state !== "stopped" || this.#process !== "none" || !next || next.atMs > nowMs) return;
    this.#next = undefined;
    if (next.isMending) {
      this.#budget.spend();
      this.#restarts++;
    } else {
      this.#budget.clear();
      this.#reason = undefined;
    }
    this.#gaveUp = false;
    this.#lacks = undefined;
    this.#process = "coming";
    this.#enter("starting", nowMs);
    this.#startByMs = nowMs + this.#settings.startTimeoutMs;
    this.#tell("info", "starting", "It is started");
    this.#actions.push({ do: "spawn" });
  }

  #spawned(nowMs: number): void {
    if (this.#process !== "coming") return;
    this.#process = "alive";
    if (this.#state === "stopping") this.#terminate(nowMs);
    else this.#settledAtMs = nowMs + this.#settings.settleMs;
  }

  #unspawned(reason: string, nowMs: number): void {
    if (this.#process !== "coming") return;
    this.#process = "none";
    this.#endedAtMs = nowMs;
    if (this.#state === "stopping") this.#ended(nowMs);
    else this.#mend(reason, nowMs);
  }

  /** However late it is by now: nothing is too late that nobody has looked at. */
  #verify(nowMs: number): void {
    this.#settledAtMs = Infinity;
    this.#startByMs = Math.max(this.#startByMs, nowMs + MIN_VERIFY_MS);
    this.#actions.push({ do: "verify" });
  }

  /** Told before its time it would say nothing: `verify` is asked for once the process has lived for a while. */
  #verified(nowMs: number): void {
    if (this.#state !== "starting" || this.#process !== "alive" || this.#settledAtMs !== Infinity) return;
    this.#reason = undefined;
    this.#enter("running", nowMs);
    this.#tell("info", "started", "It runs");
  }

  #startedTooLate(nowMs: number): void {
    const within = `within ${seconds(this.#settings.startTimeoutMs)}`;
    this.#reason = `It did not start ${within}${this.#lacks === undefined ? "" : `: ${this.#lacks}`}`;
    this.#end("mend", this.#reason, nowMs);
  }

  #failing(reason: string, isHarmful: boolean, nowMs: number): void {
    if (this.#state !== "running") return;
    this.#reason = reason;
    const { enabled } = this.#settings;
    // Half a service is better than none: only what harms others is ended without being started again.
    const isMended = enabled && (isHarmful || this.#budget.waitMs !== undefined);
    if (isMended) return this.#end("mend", reason, nowMs);
    if (this.#isToldUnhealthy) return;
    this.#isToldUnhealthy = true;
    const why = enabled ? `has been restarted ${times(this.#budget.used)} already` : "is not restarted: no watchdog";
    this.#tell("alert", "unhealthy", `${reason}. It ${why}, and is left as it is`);
  }

  #recovered(): void {
    if (this.#state !== "running") return;
    this.#reason = undefined;
    this.#isToldUnhealthy = false;
  }

  /** From starting or running. */
  #end(then: "rest" | "start" | "mend", message: string, nowMs: number): void {
    this.#then = then;
    this.#enter("stopping", nowMs);
    this.#kills = 0;
    this.#tell(then === "mend" ? "warn" : "info", "stopping", message);
    if (this.#process === "alive") this.#terminate(nowMs);
    else this.#actions.push({ do: "abandon" });
  }

  #terminate(nowMs: number): void {
    this.#actions.push({ do: "terminate" });
    this.#killAtMs = nowMs + this.#settings.stopTimeoutMs;
  }

  /** Again and again: what the kernel holds up cannot be killed, and may be let go any time. */
  #kill(nowMs: number): void {
    this.#actions.push({ do: "kill" });
    this.#kills++;
    this.#killAtMs = nowMs + Math.max(this.#settings.stopTimeoutMs, MIN_KILL_GAP_MS);
    if (this.#kills === 2) this.#tell("alert", "will_not_end", "It does not end, though it was killed");
  }

  #exited(how: string, atMs: number, nowMs: number): void {
    if (this.#process !== "alive") return;
    this.#process = "leftovers";
    this.#killAtMs = Infinity;
    this.#lastExit = how;
    this.#endedAtMs = atMs;
    this.#actions.push({ do: "sweep" });
    if (this.#state !== "stopping") this.#mend(`It ended by itself: ${how}`, nowMs);
  }

  #swept(nowMs: number): void {
    if (this.#process !== "leftovers") return;
    this.#process = "none";
    if (this.#state === "stopping") this.#ended(nowMs);
    else this.#startIfDue(nowMs);
  }

  /** Nothing is left of it, as was intended. */
  #ended(nowMs: number): void {
    if (this.#then === "mend") return this.#mend(this.#reason ?? "It did not work", nowMs);
    this.#enter("stopped", nowMs);
    this.#reason = undefined;
    this.#tell("info", "stopped", "It has ended");
    if (this.#then === "start") this.#start(nowMs);
  }

  /** It has ended and should not have. The wait counts from its end. */
  #mend(reason: string, nowMs: number): void {
    this.#enter("stopped", nowMs);
    this.#reason = reason;
    const { enabled, maxRestarts, alertThreshold } = this.#settings;
    if (!enabled) return this.#tell("alert", "crashed", `${reason}. It is not restarted: no watchdog`);
    const { waitMs, used } = this.#budget;
    if (waitMs === undefined) {
      this.#gaveUp = true;
      return this.#tell("alert", "gave_up", `${reason}. It has been restarted ${times(used)} and is given up`);
    }
    this.#next = { atMs: this.#endedAtMs + waitMs, isMending: true };
    const count = used + 1;
    const message = `${reason}. Restart ${count} of ${maxRestarts} follows after ${seconds(waitMs)}`;
    this.#tell(count >= alertThreshold ? "alert" : "warn", "restarting", message);
    this.#startIfDue(nowMs);
  }

  /** No time runs on from one state into another. */
  #enter(state: ServiceState, nowMs: number): void {
    this.#state = state;
    this.#sinceMs = nowMs;
    this.#countedToMs = nowMs;
    this.#isToldUnhealthy = false;
    this.#settledAtMs = this.#startByMs = this.#killAtMs = Infinity;
  }

  #countRunning(nowMs: number): void {
    if (this.#state !== "running" || nowMs <= this.#countedToMs) return;
    this.#budget.ran(nowMs - this.#countedToMs);
    this.#countedToMs = nowMs;
  }

  #tell(level: ServiceNews["level"], event: ServiceNews["event"], message: string): void {
    this.#actions.push({ do: "tell", news: { level, event, message } });
  }

  #takeActions(): ServiceAction[] {
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }
}

const MIN_VERIFY_MS = 1_000;
/** Settings may give a process no time at all; killing it need not keep a core busy. */
const MIN_KILL_GAP_MS = 1_000;

function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}

function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}
