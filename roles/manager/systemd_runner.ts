/**
 * Services as units of systemd: it makes their processes, with the rights and the surroundings of their own that no child of
 * ours could have, and keeps them when the manager ends. It restarts none of them: that is the manager's alone.
 *
 *   start: write the unit, if it is another ─▶ systemctl start ─▶ a process ─ pidfd ─▶ ended ─▶ how, by systemctl show
 *   TERM: systemctl stop       KILL: systemctl kill
 *
 * A service that says when it is ready is waited for by looking at it (`unit_notices.ts`), and one that hangs is ended by
 * systemd itself (`WatchdogSec=`), which is seen as its end.
 */

import type { ProcessExits } from "../../native/process_exits.ts";
import { isRunning } from "../../native/process_exits.ts";
import { readProcStat, readUptimeMs } from "../../native/proc_files.ts";
import { type Clock, delay } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { isAlive, TICK_MS } from "../../protocol/manager/proc_text.ts";
import type { Service } from "../../protocol/manager/service.ts";
import { hasEnded, setupFailure, type UnitProcess, type UnitState } from "../../protocol/manager/unit_state.ts";
import { unitNameOf } from "../../protocol/manager/unit_text.ts";
import { cgroupPids } from "./cgroup.ts";
import type { Notices, RunnerEvents, RunningProcess, ServiceExit, ServiceRunner } from "./runner.ts";
import type { Systemctl } from "./systemctl.ts";
import type { UnitFiles } from "./unit_files.ts";
import { UnitNotices } from "./unit_notices.ts";

/** From systemd's queue to a process, looked at again and again, from often to seldom. */
const FIRST_LOOK_MS = 5;
const LAST_LOOK_MS = 100;
/** How long systemd may take to learn of an end that the kernel has told us. */
const LEARNS_WITHIN_MS = 2_000;
/** What was killed is gone as soon as the kernel has the time. */
const SWEEPS_WITHIN_MS = 2_000;

export interface SystemdRunnerOptions {
  readonly clock: Clock;
  readonly events: RunnerEvents;
  readonly systemctl: Systemctl;
  readonly files: UnitFiles;
  /** Whoever has made it closes it, after the runner. */
  readonly exits: Pick<ProcessExits, "ended">;
}

export class SystemdRunner implements ServiceRunner {
  readonly backend = "systemd";
  readonly #options: SystemdRunnerOptions;
  readonly #notices: UnitNotices;
  readonly #notes = new Map<string, readonly string[]>();
  /** Once and for all, so that a process is the same whenever it is looked at. */
  readonly #bootMs: number;
  readonly #closed = new AbortController();

  constructor(options: SystemdRunnerOptions) {
    this.#options = options;
    this.#bootMs = Math.round(options.clock.wallNow() - (readUptimeMs() ?? 0));
    this.#notices = new UnitNotices(options);
  }

  async find(services: readonly Service[]): Promise<readonly (RunningProcess | undefined)[]> {
    const states = await this.#options.systemctl.show(services.map(({ name }) => unitNameOf(name)));
    return await Promise.all(services.map(async (service) => {
      const state = states.get(unitNameOf(service.name));
      if (!state) return undefined;
      await this.#look(service, state);
      const process = this.#processOf(state);
      if (process) this.#notices.watch(service, state);
      return process;
    }));
  }

  async start(service: Service, signal: AbortSignal): Promise<RunningProcess> {
    const { systemctl, files } = this.#options;
    const unit = unitNameOf(service.name);
    signal.throwIfAborted();
    const isChanged = await files.write(service);
    if (isChanged || (await systemctl.showOne(unit)).needsReload) await systemctl.reload();
    await this.#look(service, await systemctl.showOne(unit));
    this.#notices.forget(service.name);
    await systemctl.start(unit);
    try {
      const { process, state } = await this.#untilStarted(service, unit, signal);
      this.#notices.watch(service, state);
      return process;
    } catch (error) {
      if (signal.aborted) await systemctl.stop(unit);
      throw error;
    }
  }

  async exited(service: Service, process: RunningProcess): Promise<ServiceExit> {
    await this.#options.exits.ended(process, this.#closed.signal);
    try {
      return await this.#howItEnded(service, process);
    } catch {
      // It has ended, whether or not systemd can be asked how.
      return {};
    }
  }

  async signal(service: Service, process: RunningProcess, name: "SIGTERM" | "SIGKILL"): Promise<void> {
    const { systemctl } = this.#options;
    const unit = unitNameOf(service.name);
    if (!isRunning(process)) return;
    if (name === "SIGTERM") return await systemctl.stop(unit);
    await systemctl.kill(unit, name);
  }

  /** What its main process leaves behind is ended by systemd (`KillMode=mixed`), unless somebody's own unit says otherwise. */
  async sweep(service: Service): Promise<number> {
    const { clock, systemctl } = this.#options;
    const unit = unitNameOf(service.name);
    const { controlGroup, mainPid } = await systemctl.showOne(unit);
    if (controlGroup === "" || isAlive(readProcStat(mainPid))) return 0;
    const left = cgroupPids(controlGroup).length;
    if (left === 0) return 0;
    await systemctl.kill(unit, "SIGKILL");
    const untilMs = clock.now() + SWEEPS_WITHIN_MS;
    while (cgroupPids(controlGroup).length > 0 && clock.now() < untilMs) {
      await delay(clock, FIRST_LOOK_MS, this.#closed.signal);
    }
    return left;
  }

  notices({ name }: Service): Notices {
    return this.#notices.of(name);
  }

  notes({ name }: Service): readonly string[] {
    return this.#notes.get(name) ?? [];
  }

  async forget(service: Service): Promise<void> {
    this.#notices.forget(service.name);
    this.#notes.delete(service.name);
    const { files, systemctl } = this.#options;
    await systemctl.resetFailed(unitNameOf(service.name));
    if (await files.remove(service)) await systemctl.reload();
  }

  /** Its units go on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new CulvertError("closed", "The runner is closed"));
    await this.#notices[Symbol.asyncDispose]();
  }

  /** Keeps what its owner should know. */
  async #look({ name }: Service, state: UnitState): Promise<void> {
    const { files } = this.#options;
    const isEdited = await files.originOf(name) === "edited";
    this.#notes.set(name, [
      ...isEdited ? [`${files.pathOf(name)} was edited by hand and is kept as it is`] : [],
      ...state.dropIns.map((path) => `${path} changes its unit`),
      ...state.needsReload ? ["its unit has changed since systemd read it: systemctl daemon-reload"] : [],
    ]);
  }

  async #untilStarted(
    service: Service,
    unit: string,
    signal: AbortSignal,
  ): Promise<{ readonly process: RunningProcess; readonly state: UnitState }> {
    const { clock, systemctl } = this.#options;
    using wait = anyOf(signal, this.#closed.signal);
    for (let lookMs = FIRST_LOOK_MS;; lookMs = Math.min(lookMs * 2, LAST_LOOK_MS)) {
      await delay(clock, lookMs, wait.signal);
      const state = await systemctl.showOne(unit);
      const process = this.#processOf(state);
      if (process) return { process, state };
      if (!hasEnded(state)) continue;
      const problem = setupProblem(service, state);
      if (problem === undefined) return { process: this.#pastProcessOf(state.last), state };
      throw new CulvertError("cannot_start", `Cannot start ${service.name}: ${problem}`);
    }
  }

  async #howItEnded({ name }: Service, { pid }: RunningProcess): Promise<ServiceExit> {
    const { clock, systemctl } = this.#options;
    const untilMs = clock.now() + LEARNS_WITHIN_MS;
    for (let lookMs = FIRST_LOOK_MS;; lookMs = Math.min(lookMs * 2, LAST_LOOK_MS)) {
      const { last } = await systemctl.showOne(unitNameOf(name));
      const { code, signal } = last;
      // What has ended as it should, by itself or when it was asked to, systemd forgets.
      if (last.pid === 0) return { code: 0 };
      // Another has been started already.
      if (last.pid !== pid || clock.now() > untilMs) return {};
      if (code !== undefined) return { code };
      if (signal !== undefined) return { signal };
      await delay(clock, lookMs, this.#closed.signal);
    }
  }

  /** What runs of a unit. Until its program is there, systemd's own process has a name in brackets, and is none yet. */
  #processOf({ mainPid }: UnitState): RunningProcess | undefined {
    const stat = mainPid > 0 ? readProcStat(mainPid) : undefined;
    if (!isAlive(stat) || stat.name.startsWith("(")) return undefined;
    return { pid: mainPid, startTicks: stat.startTicks, startedMs: this.#bootMs + stat.startTicks * TICK_MS };
  }

  /** One that was gone before it was seen. */
  #pastProcessOf({ pid, startedUs }: UnitProcess): RunningProcess {
    const startMs = Math.floor(startedUs / 1000);
    return { pid, startTicks: Math.floor(startMs / TICK_MS), startedMs: this.#bootMs + startMs };
  }
}

/** Why there is no process; undefined where there was one. */
function setupProblem(service: Service, { last, result }: UnitState): string | undefined {
  const failure = setupFailure(service, last);
  if (failure !== undefined) return failure;
  if (last.pid > 0 && last.startedUs > 0) return undefined;
  return result === "success" ? "its program must go on running; it ended at once" : `systemd says ${result}`;
}

/** As `AbortSignal.any`, but free when it is left. */
function anyOf(...signals: readonly AbortSignal[]): Disposable & { readonly signal: AbortSignal } {
  const either = new AbortController();
  const stack = new DisposableStack();
  for (const signal of signals) {
    const onAbort = () => either.abort(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    stack.defer(() => signal.removeEventListener("abort", onAbort));
  }
  return { signal: either.signal, [Symbol.dispose]: () => stack.dispose() };
}
