/**
 * All services: reads their files, takes over what runs, starts what is enabled, answers for them.
 *
 *   files ─▶ supervisor ─┬▶ supervised service ─▶ machine, runner, checks
 *                        ├▶ supervised service            …
 *                        └▶ meter, for those with limits
 *
 * When the manager ends, its services go on: they do not depend on it, and one that is brought up to date or killed must
 * not take down what it is there to keep up. The next manager finds and adopts them. `stopAll` is for whoever wants
 * otherwise. Not here: when a service is started, stopped or given up (`protocol/manager/service_machine.ts`).
 */

import { orAborted } from "../../protocol/abort.ts";
import { type Clock, deadline } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { ManagerReport } from "../../protocol/manager/report.ts";
import type { Service } from "../../protocol/manager/service.ts";
import type { ServiceNews } from "../../protocol/manager/service_events.ts";
import type { Alerts } from "./alerts.ts";
import type { Checks } from "./checks.ts";
import { repeat } from "../repeating.ts";
import { hasLimits, type MeteredService, type ServiceMeter } from "./limits.ts";
import type { RestingServices } from "./resting.ts";
import type { RunningProcess, ServiceRunner } from "./runner.ts";
import { SupervisedService } from "./supervised_service.ts";

/** What the service files and the watchdog's settings say by now. */
export interface LoadedServices {
  readonly services: readonly Service[];
  /** Files that cannot be used, each with what is wrong. */
  readonly problems: readonly string[];
  /** Services of which there is a file that cannot be used: what runs of them goes on as it was. */
  readonly broken: readonly string[];
}

export interface ServiceLoader {
  /**
   * Rejects where nothing can be said, such as for wrong settings of the watchdog: all stays as it was. With `no_folder`
   * where there is nothing to read, which is no fault before the first service.
   */
  load(): Promise<LoadedServices>;
}

export interface SupervisorOptions {
  readonly files: ServiceLoader;
  readonly runner: ServiceRunner;
  /** Kills a process and its group before it returns: for when there is no time to ask the runner. */
  kill(process: RunningProcess): void;
  /** What runs of services that are none of these, in a sentence each. */
  unclaimed(known: ReadonlySet<string>): readonly string[];
  readonly checks: Checks;
  readonly alerts: Alerts;
  /** What is to stay stopped under the next manager. */
  readonly resting: RestingServices;
  /** For limits alone. */
  readonly meter: ServiceMeter;
  /** Both times: durations by `now`, what is reported by `wallNow`. */
  readonly clock: Clock;
  readonly log: Log;
  /** The manager's own. */
  readonly pid: number;
  /** After every change of a service. It may ask for reports, and for nothing else. */
  onEvent?(event: SupervisorEvent): void;
}

export interface SupervisorEvent {
  readonly name: string;
  /** Absent where something has changed without words, such as its health. */
  readonly news?: ServiceNews;
  /** There is no such service any more: it cannot be asked about. */
  readonly isForgotten?: true;
}

/** How often what services use is held against their limits. */
const METER_EVERY_MS = 10_000;
/** Within the time that a role has to end once everything has been cut. */
const SWEEP_AFTER_KILL_MS = 2_000;

export class Supervisor implements AsyncDisposable {
  readonly #options: SupervisorOptions;
  readonly #services = new Map<string, SupervisedService>();
  readonly #ending = new AbortController();
  readonly #startedMs: number;
  readonly #tasks = new Set<Promise<unknown>>();
  readonly #waiting = new Set<() => void>();
  /** All are being stopped, and nothing is started any more. */
  #isStopping = false;
  #problems: readonly string[] = [];
  /** Loads come one after the other. */
  #loading: Promise<void> = Promise.resolve();
  #metering: Disposable | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#startedMs = options.clock.wallNow();
  }

  /** Reads the files, takes over what runs and starts the others that are enabled and were not stopped. Rejects where nothing can be read. */
  async begin(): Promise<void> {
    await this.#loadNext({ isFirst: true });
    const { clock, log } = this.#options;
    this.#metering = repeat({
      clock,
      everyMs: METER_EVERY_MS,
      look: () => this.#meter(),
      onProblem: (error) => log.warn("What services use cannot be measured", { error }),
    });
  }

  /** Reads the files again. What is new and enabled is started; nothing is stopped or restarted. */
  async reload(): Promise<void> {
    this.#requireWork("read the service files again");
    await this.#loadNext({ isFirst: false });
  }

  #loadNext(how: { readonly isFirst: boolean }): Promise<void> {
    const loading = this.#loading.then(() => this.#load(how));
    this.#loading = loading.catch(() => {});
    return loading;
  }

  /** Of these, or of all. Throws `unknown_service`. */
  report(names?: readonly string[]): ManagerReport {
    const { pid, runner, clock } = this.#options;
    return {
      pid,
      backend: runner.backend,
      startedMs: this.#startedMs,
      nowMs: clock.wallNow(),
      problems: [...this.#problems],
      services: this.#named(names, "report on").map((service) => service.report()),
    };
  }

  /** Whether it is to run: what does not although it is, is down. Throws `unknown_service`. */
  isWanted(name: string): boolean {
    return this.#named([name], "look at")[0]!.isWanted;
  }

  /** Those of which a process runs, for a meter. Throws `unknown_service`. */
  running(names?: readonly string[]): readonly MeteredService[] {
    return this.#named(names, "measure").flatMap(({ running }) => running ?? []);
  }

  /** Returns at once, as `stop` and `restart` do; `report` tells how it goes. Throws `unknown_service`. */
  start(name: string): void {
    this.#requireWork(`start ${name}`);
    this.#named([name], "start")[0]!.ask("start");
  }

  stop(name: string): void {
    const service = this.#named([name], "stop")[0]!;
    service.ask("stop");
    if (!service.report().gaveUp) this.#options.resting.write(name, { gaveUp: false });
  }

  restart(name: string): void {
    this.#requireWork(`restart ${name}`);
    this.#named([name], "restart")[0]!.ask("restart");
  }

  /**
   * Stops all, and settles when nothing runs. When the signal aborts, what still runs is killed before anything else happens,
   * and little more is waited for. From its begin on nothing is started.
   */
  async stopAll(signal: AbortSignal): Promise<void> {
    this.#isStopping = true;
    for (const service of this.#services.values()) service.ask("stop");
    const onAbort = () => this.#killAll();
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await this.#allStopped(signal);
    } catch (error) {
      if (!signal.aborted) throw error;
      using limit = deadline(this.#options.clock, SWEEP_AFTER_KILL_MS, "sweep");
      await this.#allStopped(limit.signal).catch(() => {}); // what is left then is left
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  async #allStopped(signal: AbortSignal): Promise<void> {
    await orAborted(this.#loading, signal); // what comes of it has to stop as well
    const isOver = () => this.#services.values().every(({ isStopped }) => isStopped);
    while (!isOver()) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.add(resolve);
      await orAborted(promise, signal).finally(() => this.#waiting.delete(resolve));
    }
  }

  #killAll(): void {
    for (const { name, running } of this.#services.values()) {
      if (!running) continue;
      this.#options.log.warn("It is killed: there is no more time for it to end", { service: name });
      try {
        this.#options.kill(running.process);
      } catch (error) {
        this.#options.log.error("It cannot be killed", { service: name, error: messageOf(error) });
      }
    }
  }

  #requireWork(what: string): void {
    if (this.#isStopping) {
      throw new CulvertError("stopping", `Cannot ${what}: the manager stops, and all services with it`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort(new CulvertError("stopped", "The manager ends"));
    this.#metering?.[Symbol.dispose]();
    await this.#loading;
    await Promise.all(this.#services.values().map((service) => service[Symbol.asyncDispose]()));
    await Promise.all(this.#tasks);
  }

  async #load({ isFirst }: { readonly isFirst: boolean }): Promise<void> {
    const { files, log } = this.#options;
    let loaded;
    try {
      loaded = await files.load();
    } catch (error) {
      this.#problems = [messageOf(error)];
      if (!isFirst || !(error instanceof CulvertError) || error.code !== "no_folder") throw error;
      return log.warn(messageOf(error));
    }
    this.#tellProblems(loaded.problems);
    const names = new Set([...loaded.services.map(({ name }) => name), ...loaded.broken]);
    for (const [name, service] of this.#services) if (!names.has(name)) service.remove();
    for (const service of loaded.services) this.#services.get(service.name)?.configure(service);
    await this.#add(loaded.services.filter(({ name }) => !this.#services.has(name)));
    this.#tellProblems([...loaded.problems, ...this.#unclaimed()]);
  }

  /** Into the log what is new of them. */
  #tellProblems(problems: readonly string[]): void {
    for (const problem of problems) if (!this.#problems.includes(problem)) this.#options.log.error(problem);
    this.#problems = problems;
  }

  #unclaimed(): readonly string[] {
    try {
      return this.#options.unclaimed(new Set(this.#services.keys()));
    } catch (error) {
      this.#options.log.warn("What else runs cannot be looked at", { error: messageOf(error) });
      return [];
    }
  }

  /** Of all services. */
  get longestStopMs(): number {
    return Math.max(0, ...this.#services.values().map(({ service }) => service.watchdog.stopTimeoutMs));
  }

  async #add(services: readonly Service[]): Promise<void> {
    const found = services.length === 0 ? [] : await this.#options.runner.find(services);
    if (this.#ending.signal.aborted) return;
    for (const [at, service] of services.entries()) {
      const added = new SupervisedService(service, {
        ...this.#options,
        onChange: (service, news) => this.#changed(service, news),
      });
      this.#services.set(service.name, added);
      const process = found[at];
      if (process) added.adopt(process);
      const resting = process ? undefined : this.#options.resting.read(service.name);
      if (resting) added.rest(resting);
      if (this.#isStopping) added.ask("stop");
      else if (!process && !resting && service.enabled) added.ask("start");
    }
  }

  #changed(service: SupervisedService, news?: ServiceNews): void {
    if (this.#services.get(service.name) !== service) return;
    this.#options.onEvent?.({ name: service.name, ...(news && { news }) });
    if (service.isGone) this.#forget(service);
    for (const wake of this.#waiting) wake();
  }

  #forget(service: SupervisedService): void {
    const { runner, log, onEvent, resting } = this.#options;
    this.#services.delete(service.name);
    resting.clear(service.name);
    onEvent?.({ name: service.name, isForgotten: true });
    const task = Promise.all([service[Symbol.asyncDispose](), runner.forget(service.service)])
      .catch((error) => log.warn("A service cannot be forgotten", { service: service.name, error: messageOf(error) }))
      .finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
  }

  /** All that have limits at once. */
  async #meter(): Promise<void> {
    const metered = [...this.#services.values()].filter(({ service }) => hasLimits(service.limits))
      .flatMap((service) => service.running ? [{ service, running: service.running }] : []);
    if (metered.length === 0) return;
    const samples = await this.#options.meter.sample(metered.map(({ running }) => running));
    for (const [at, { service, running }] of metered.entries()) {
      const sample = samples[at];
      // Another process may have come meanwhile.
      if (sample && service.running?.process === running.process) service.sampled(sample);
    }
  }

  #named(names: readonly string[] | undefined, verb: string): SupervisedService[] {
    if (!names) return [...this.#services.values()].sort((one, other) => one.name < other.name ? -1 : 1);
    return names.map((name) => {
      const service = this.#services.get(name);
      if (service) return service;
      throw new CulvertError("unknown_service", `Cannot ${verb} ${name}: there is no service of that name`);
    });
  }
}
