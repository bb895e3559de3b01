/**
 * One service: its machine, and the hands that do what the machine decides.
 *
 *   operator, files ─▶ machine ─▶ spawn │ verify │ terminate │ kill │ sweep ─▶ runner, checks
 *                        ▲                                                        │
 *                        └── spawned, verified, exited, failing, its own timer ◀──┘
 *
 * Nothing here waits for another service. Whatever looks at a process ends with it, so that no verdict falls on the next.
 * What its file says about how it is run is settled when its process is started, and holds until that ends
 * (`service_changes.ts`); what it says about watching holds at once.
 */

import { type Clock, delay, type Timer } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { ServiceReport } from "../../protocol/manager/report.ts";
import type { Service } from "../../protocol/manager/service.ts";
import type { ServiceAction, ServiceEvent, ServiceNews } from "../../protocol/manager/service_events.ts";
import { ServiceMachine } from "../../protocol/manager/service_machine.ts";
import { formatTarget } from "../../protocol/stream.ts";
import type { Alerts } from "./alerts.ts";
import { checkAgainAndAgain, hungFailure } from "./check_loop.ts";
import type { CheckFailure, Checks } from "./checks.ts";
import { LimitWatch, type MeteredService, type ServiceSample } from "./limits.ts";
import type { Resting, RestingServices } from "./resting.ts";
import { lookForEnd, wordsFor } from "./process_end.ts";
import type { RunningProcess, ServiceRunner } from "./runner.ts";
import { isRunOtherwise } from "./service_changes.ts";

export interface SupervisedOptions {
  readonly runner: ServiceRunner;
  readonly checks: Checks;
  readonly alerts: Alerts;
  /** What is to stay stopped under the next manager. */
  readonly resting: RestingServices;
  readonly clock: Clock;
  readonly log: Log;
  /** After every change. */
  onChange(service: SupervisedService, news?: ServiceNews): void;
}

/** While a start is looked at. */
const VERIFY_EVERY_MS = 250;

export class SupervisedService implements AsyncDisposable {
  readonly #options: SupervisedOptions;
  readonly #log: Log;
  readonly #machine: ServiceMachine;
  readonly #ending = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  readonly #limits = new LimitWatch();
  /** As its file says by now, and as it said when its process was started. */
  #service: Service;
  #started: Service;
  #process: RunningProcess | undefined;
  /** Since when this manager knows it. */
  #livesSinceMs = 0;
  /** Ends with its process, and with the manager. */
  #life = new AbortController();
  /** Ends when it no longer runs. */
  #watching = new AbortController();
  #spawning = new AbortController();
  #isSweeping = false;
  #isRemoved = false;
  #health: ServiceReport["health"] = "unknown";
  #unhealthyReason: string | undefined;
  /** It uses more than it may, and nothing has come of that. */
  #isOverLimit = false;
  /** Until then a failed check changes nothing: one that was adopted may have been starting. */
  #graceUntilMs = 0;
  #timer: Timer | undefined;

  constructor(service: Service, options: SupervisedOptions) {
    this.#service = this.#started = service;
    this.#options = options;
    this.#log = options.log.with({ service: service.name });
    this.#machine = new ServiceMachine(service.watchdog, options.clock.now());
  }

  get name(): string {
    return this.#service.name;
  }

  get service(): Service {
    return this.#service;
  }

  /** Its process, while there is one. */
  get running(): MeteredService | undefined {
    return this.#process && { service: this.#started, process: this.#process };
  }

  /** Whether nothing of it runs. A wait may last. */
  get isStopped(): boolean {
    return this.#machine.state === "stopped" && this.#process === undefined && !this.#isSweeping;
  }

  /** Whether it can be forgotten. */
  get isGone(): boolean {
    return this.#isRemoved && this.isStopped;
  }

  /** Whether it is to run; not where its operator has stopped it, or never started it. */
  get isWanted(): boolean {
    return this.#machine.isWanted;
  }

  ask(what: "start" | "stop" | "restart"): void {
    this.#handle({ is: what });
    this.#options.onChange(this);
  }

  /** That process of it runs already. */
  adopt(process: RunningProcess): void {
    this.#graceUntilMs = this.#options.clock.now() + this.#service.watchdog.startTimeoutMs;
    this.#live(process);
    this.#handle({ is: "adopted" });
  }

  /** It stays as the last manager left it: stopped by its operator, or given up. */
  rest(resting: Resting): void {
    this.#handle({ is: "resting", ...resting });
    this.#options.onChange(this);
  }

  /** Its file may say otherwise by now. */
  configure(service: Service): void {
    const { watchdog } = this.#service;
    this.#isRemoved = false;
    this.#service = service;
    this.#follow(() => this.#machine.configure(service.watchdog));
    if (service.watchdog.checkIntervalMs !== watchdog.checkIntervalMs && this.#machine.state === "running") {
      this.#watch();
    }
    this.#wind();
    this.#options.onChange(this);
  }

  /** Its file is gone: what runs goes on, and is forgotten once it has ended. */
  remove(): void {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    if (this.#machine.state === "stopped") this.#handle({ is: "stop" });
    this.#options.onChange(this);
  }

  /** What it uses; ends it once that is too much for too long. */
  sampled(sample: ServiceSample): void {
    if (this.#machine.state !== "running") return;
    const reason = this.#limits.look(this.#service.limits, sample, this.#options.clock.now());
    const isOver = reason !== undefined;
    const isOverNoMore = this.#isOverLimit && !isOver;
    this.#isOverLimit = isOver;
    if (isOver) this.#handle({ is: "failing", reason, isHarmful: true });
    else if (isOverNoMore && this.#health !== "unhealthy") this.#handle({ is: "recovered" });
  }

  report(): ServiceReport {
    const machine = this.#machine;
    const isRunning = machine.state === "running";
    const reason = machine.reason ?? (isRunning ? this.#unhealthyReason : undefined);
    const { name, description, enabled, listen } = this.#service;
    return {
      name,
      description,
      state: machine.state,
      sinceMs: this.#wallMs(machine.sinceMs),
      enabled,
      ...(this.#process && { pid: this.#process.pid, startedMs: this.#process.startedMs }),
      health: isRunning ? this.#health : "unknown",
      ...(this.#process && { says: this.#options.runner.notices(this.#started).status }),
      ...(reason !== undefined && { reason }),
      gaveUp: machine.gaveUp,
      ...(machine.nextStartAtMs !== undefined && { nextStartMs: this.#wallMs(machine.nextStartAtMs) }),
      recentRestarts: machine.recentRestarts(this.#options.clock.now()),
      restarts: machine.restarts,
      ...(machine.lastExit !== undefined && { lastExit: machine.lastExit }),
      listen: listen.map(({ kind, at }) => `${kind}:${formatTarget(at)}`),
      notes: this.#notes(),
    };
  }

  /** Its process goes on; one that is only coming is given up. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort(new CulvertError("stopped", "The manager ends"));
    for (const controller of [this.#spawning, this.#life, this.#watching]) controller.abort(this.#ending.signal.reason);
    this.#timer?.cancel();
    await Promise.all(this.#tasks);
  }

  #notes(): string[] {
    const notes = [...this.#options.runner.notes(this.#service)];
    if (this.#isRemoved) notes.push("Its file is gone: it is forgotten once it has ended");
    else if (this.#process && isRunOtherwise(this.#started, this.#service, this.#options.runner.backend)) {
      notes.push("Its file has changed since it was started: a restart applies that");
    }
    return notes;
  }

  #handle(event: ServiceEvent): void {
    if (this.#ending.signal.aborted) return;
    this.#follow(() => this.#machine.handle(event, this.#options.clock.now()));
  }

  #follow(call: () => ServiceAction[]): void {
    const wasRunning = this.#machine.state === "running";
    const actions = call();
    const isRunning = this.#machine.state === "running";
    if (wasRunning && !isRunning) this.#watching.abort();
    if (isRunning && !wasRunning) this.#watch();
    for (const action of actions) this.#do(action);
    this.#wind();
  }

  #do(action: ServiceAction): void {
    switch (action.do) {
      case "spawn":
        this.#spawning = new AbortController();
        return this.#task(this.#spawn(this.#spawning.signal));
      case "abandon":
        return this.#spawning.abort(new CulvertError("stopped", "It is no longer wanted"));
      case "verify":
        return this.#task(this.#verify(this.#life.signal));
      case "terminate":
        return this.#task(this.#signal("SIGTERM"));
      case "kill":
        return this.#task(this.#signal("SIGKILL"));
      case "sweep":
        this.#isSweeping = true;
        return this.#task(this.#sweep());
      case "tell":
        return this.#tell(action.news);
    }
  }

  /** One timer, for what the machine has to do next. */
  #wind(): void {
    this.#timer?.cancel();
    const { nextAtMs } = this.#machine;
    if (nextAtMs === undefined || this.#ending.signal.aborted) return;
    const { clock } = this.#options;
    const tick = () => this.#follow(() => this.#machine.tick(clock.now()));
    this.#timer = clock.after(Math.max(0, nextAtMs - clock.now()), tick);
  }

  async #spawn(signal: AbortSignal): Promise<void> {
    const service = this.#started = this.#service;
    let process;
    try {
      const taken = await this.#looked(() => this.#options.checks.portTaken(service), signal);
      // What cannot be looked at keeps nothing from being tried.
      if (taken?.level === "port") throw new CulvertError("port_taken", taken.reason);
      signal.throwIfAborted();
      process = await this.#options.runner.start(service, signal);
    } catch (error) {
      return this.#handle({ is: "unspawned", reason: messageOf(error) });
    }
    if (this.#ending.signal.aborted) return; // its pid file tells the next manager of it
    this.#graceUntilMs = 0;
    this.#live(process);
    this.#handle({ is: "spawned" });
  }

  #live(process: RunningProcess): void {
    this.#process = process;
    this.#livesSinceMs = this.#options.clock.now();
    const { signal } = this.#life = new AbortController();
    this.#health = "unknown";
    this.#unhealthyReason = undefined;
    this.#isOverLimit = false;
    this.#limits.reset();
    // Not a task: it lasts as long as the process, which the manager's end leaves alone.
    this.#options.runner.exited(this.#started, process).then(
      (exit) => this.#ended(process, wordsFor(exit)),
      (error) => {
        if (this.#ending.signal.aborted) return; // the runner ends with the manager
        this.#log.error("Its end cannot be seen, and is looked for", { error: messageOf(error) });
        const { clock, checks } = this.#options;
        const onGone = () => this.#ended(process, wordsFor({}));
        this.#task(lookForEnd({ clock, isThere: () => checks.isThere(process), onGone }, signal));
      },
    );
  }

  #ended(process: RunningProcess, how: string): void {
    if (this.#process !== process) return;
    this.#process = undefined;
    this.#life.abort();
    this.#handle({ is: "exited", how, atMs: this.#options.clock.now() });
  }

  async #verify(signal: AbortSignal): Promise<void> {
    try {
      while (this.#machine.state === "starting" && !signal.aborted) {
        const lacks = await this.#lacks();
        if (signal.aborted) return;
        if (lacks === undefined) this.#health = "healthy";
        this.#handle(lacks === undefined ? { is: "verified" } : { is: "unverified", reason: lacks });
        if (lacks !== undefined) await delay(this.#options.clock, VERIFY_EVERY_MS, signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** Its own word comes first: it costs nothing to hear. */
  async #lacks(): Promise<string | undefined> {
    const { runner, checks } = this.#options;
    const { readyAtMs } = runner.notices(this.#started);
    if (this.#started.notifies && readyAtMs === undefined) return "It has not said that it is ready";
    const process = this.#process!;
    return (await this.#looked(() => checks.checkStart(this.#started, process), this.#life.signal))?.reason;
  }

  /** What cannot be looked at is neither in order nor the service's fault. */
  async #looked(look: () => Promise<CheckFailure | undefined>, signal: AbortSignal): Promise<CheckFailure | undefined> {
    try {
      return await look();
    } catch (error) {
      signal.throwIfAborted();
      return { level: "unseen", reason: `It cannot be looked at: ${messageOf(error)}` };
    }
  }

  async #signal(name: "SIGTERM" | "SIGKILL"): Promise<void> {
    if (!this.#process) return;
    try {
      await this.#options.runner.signal(this.#started, this.#process, name);
    } catch (error) {
      this.#log.error(`${name} cannot be sent to it`, { error: messageOf(error) });
    }
  }

  async #sweep(): Promise<void> {
    try {
      const count = await this.#options.runner.sweep(this.#started);
      if (count > 0) this.#log.warn("It had left processes behind, which were ended", { count });
    } catch (error) {
      this.#log.error("What it has left behind cannot be ended", { error: messageOf(error) });
    }
    this.#isSweeping = false;
    this.#handle({ is: "swept" });
    this.#options.onChange(this);
  }

  /** Looks at it for as long as it runs, from a whole interval after now. */
  #watch(): void {
    this.#watching.abort();
    this.#watching = new AbortController();
    const { signal } = this.#watching;
    const loop = {
      clock: this.#options.clock,
      everyMs: this.#service.watchdog.checkIntervalMs,
      look: () => this.#look(signal),
      onLook: (failure: CheckFailure | undefined) => failure ? this.#failed(failure) : this.#works(),
    };
    this.#task(checkAgainAndAgain(loop, signal));
  }

  async #look(signal: AbortSignal): Promise<CheckFailure | undefined> {
    const { clock, runner, checks } = this.#options;
    const process = this.#process!;
    const { role, notifies } = this.#started;
    // Units are watched by systemd itself, and programs of others need not say that they are alive.
    const isHeard = role !== undefined && notifies && runner.backend === "own";
    const notices = runner.notices(this.#started);
    return hungFailure(notices, { nowMs: clock.now(), ...isHeard && { livesSinceMs: this.#livesSinceMs } }) ??
      await this.#looked(() => checks.check(this.#started, process, signal), signal);
  }

  #failed({ level, reason }: CheckFailure): void {
    // A signal to it would reach nobody and end nothing.
    if (level === "pid") return this.#ended(this.#process!, "it was gone, and nobody saw how it ended");
    if (level === "unseen") return this.#healthIs("unknown", reason);
    this.#healthIs("unhealthy", reason);
    if (this.#options.clock.now() >= this.#graceUntilMs) this.#handle({ is: "failing", reason, isHarmful: false });
  }

  #works(): void {
    const wasHealthy = this.#health === "healthy";
    this.#healthIs("healthy");
    if (!wasHealthy && !this.#isOverLimit) this.#handle({ is: "recovered" });
  }

  #healthIs(health: ServiceReport["health"], reason?: string): void {
    const hasChanged = this.#health !== health;
    this.#health = health;
    this.#unhealthyReason = reason;
    if (hasChanged) this.#options.onChange(this);
  }

  #tell(news: ServiceNews): void {
    const { alerts, clock, onChange, resting } = this.#options;
    const { level, event, message } = news;
    const { reason } = this.#machine;
    if (event === "gave_up") resting.write(this.name, { gaveUp: true, ...reason !== undefined && { reason } });
    else if (event === "starting" || event === "adopted") resting.clear(this.name);
    if (level === "alert") {
      alerts.tell({ service: this.name, event, message, atMs: clock.wallNow() }, this.#service.watchdog);
    } else this.#log[level](message);
    onChange(this, news);
  }

  #task(task: Promise<void>): void {
    const kept = task.catch((error) => this.#log.error("It cannot be looked after", { error: messageOf(error) }))
      .finally(() => this.#tasks.delete(kept));
    this.#tasks.add(kept);
  }

  #wallMs(atMs: number): number {
    const { clock } = this.#options;
    return Math.round(clock.wallNow() + atMs - clock.now());
  }
}
