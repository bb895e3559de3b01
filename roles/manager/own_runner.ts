/**
 * Runs services as children of the manager, where there is no systemd. They outlive it: the next manager finds them by their
 * pid files, or by the mark in their environment where a file is missing, and restarts none.
 *
 *   <run dir>/<name>.pid      which process it is        <run dir>/<name>.notify   where it says how it is
 *   <log dir>/<name>.log, .1  what it has written
 *
 * A signal goes to the process's group and to what has left it; what the main process leaves behind is ended by `sweep`. Of one
 * that it has adopted the manager learns that it has ended, not how. A service stays in the foreground: one that
 * daemonizes ends, by what is seen from here, and its daemon is swept away.
 */

import { join } from "@std/path";
import type { NotifySockets } from "../../native/notify_socket.ts";
import { readBootId, readProcFile, readProcStat, readUptimeMs } from "../../native/proc_files.ts";
import { isRunning, ProcessExits, type ProcessId } from "../../native/process_exits.ts";
import type { Clock } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import { commandHashOf } from "../../protocol/manager/pid_file.ts";
import { parseProcStatus, TICK_MS } from "../../protocol/manager/proc_text.ts";
import type { Service } from "../../protocol/manager/service.ts";
import type { Host } from "../host.ts";
import { type Account, accountOf } from "./accounts.ts";
import { LogFile } from "./log_file.ts";
import { Orphans } from "./orphans.ts";
import { OwnNotices } from "./own_notices.ts";
import { startOwnProcess } from "./own_process.ts";
import { OwnService } from "./own_service.ts";
import { PidFiles } from "./pid_files.ts";
import type { Places } from "./places.ts";
import type { Notices, RunnerEvents, RunningProcess, ServiceExit, ServiceRunner } from "./runner.ts";
import { endStrays, SeenProcesses, sendSignal, sendTerm } from "./strays.ts";

export interface OwnRunnerOptions extends RunnerEvents {
  readonly places: Pick<Places, "run" | "logs">;
  readonly sockets: Pick<NotifySockets, "open">;
  readonly clock: Clock;
  readonly log: Log;
  readonly env: Host["env"];
}

interface LastProcess {
  readonly id: ProcessId;
  /** Whether it has been sent a signal: then its children may end after it, and that is nobody's fault. */
  isAsked: boolean;
}

/** Others look into them: services' users for the socket, people for the logs. */
const FOLDER_MODE = 0o755;
const LOG_MODE = 0o640;
/** Of a container. */
const FIRST_PID = 1;

export class OwnRunner implements ServiceRunner {
  readonly backend = "own";
  readonly #options: OwnRunnerOptions;
  readonly #exits = new ProcessExits();
  readonly #seen = new SeenProcesses();
  readonly #pidFiles: PidFiles;
  readonly #running = new Map<string, OwnService>();
  /** The last process of each, until what it left is swept away. */
  readonly #last = new Map<string, LastProcess>();
  readonly #sweeps = new Map<string, Promise<number>>();
  readonly #notes = new Map<string, string>();
  /** What is still being let go of. */
  readonly #closing = new Set<Promise<void>>();
  readonly #orphans: Orphans | undefined;

  private constructor(options: OwnRunnerOptions) {
    this.#options = options;
    this.#pidFiles = new PidFiles({ directory: options.places.run, bootId: readBootId(), log: options.log });
    this.#orphans = Deno.pid === FIRST_PID ? new Orphans(options.clock) : undefined;
  }

  static async open(options: OwnRunnerOptions): Promise<OwnRunner> {
    const { run, logs } = options.places;
    for (const folder of [run, logs]) await Deno.mkdir(folder, { recursive: true, mode: FOLDER_MODE });
    // Marks are compared as texts, and two managers may know the folder by two names.
    return new OwnRunner({ ...options, places: { run: await Deno.realPath(run), logs } });
  }

  find(services: readonly Service[]): Promise<readonly (RunningProcess | undefined)[]> {
    return Promise.all(services.map((service) => this.#find(service)));
  }

  async start(service: Service, signal: AbortSignal): Promise<RunningProcess> {
    signal.throwIfAborted();
    const { name, user } = service;
    const other = await this.#find(service);
    if (other) {
      throw new CulvertError("exists", `Cannot start ${name}: none of it may run, and process ${other.pid} does`);
    }
    const account = user === undefined ? undefined : await accountOf(user);
    checkRights(name, account);
    await this.sweep(service);
    const logPath = await this.#makeLog(name, account);
    using guard = new DisposableStack();
    const notices = guard.use(this.#listen(service, account));
    const notifyPath = notices && this.#notifyPath(name);
    const { env, log } = this.#options;
    const mark = this.#mark(name);
    const child = await startOwnProcess({ service, account, mark, logPath, notifyPath, env, log }, signal);
    guard.move();
    // Nothing has been waited for since, so the process is there, be it as one that has ended.
    const process = { pid: child.pid, ...startOf(readProcStat(child.pid)?.startTicks ?? 0, this.#options.clock) };
    this.#notes.delete(name);
    this.#hold(service, process, { child, notices });
    this.#pidFiles.write(name, { ...process, commandHash: commandHashOf(service) });
    return process;
  }

  async exited({ name }: Service, process: RunningProcess): Promise<ServiceExit> {
    const held = this.#running.get(name);
    if (held && isSame(held.process, process)) return await held.ended;
    await this.#exits.ended(process);
    return {};
  }

  async signal({ name }: Service, process: RunningProcess, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const others = (await this.#strays(name, process)).filter(({ groupId }) => groupId !== process.pid);
    // What belongs to one that has ended meanwhile is left to `sweep`.
    if (!isRunning(process)) return;
    const last = this.#last.get(name);
    // Before it is: it may end in the same moment.
    if (last && isSame(last.id, process)) last.isAsked = true;
    const send = signal === "SIGTERM" ? sendTerm : sendKill;
    send(process, "group");
    for (const other of others) send(other);
  }

  /** While one lasts, others wait for the same. */
  sweep({ name }: Service): Promise<number> {
    const sweep = this.#sweeps.get(name) ?? this.#sweep(name).finally(() => this.#sweeps.delete(name));
    this.#sweeps.set(name, sweep);
    return sweep;
  }

  notices({ name }: Service): Notices {
    return this.#running.get(name)?.notices ?? {};
  }

  notes({ name }: Service): readonly string[] {
    const note = this.#notes.get(name);
    const isDiskFull = this.#running.get(name)?.isDiskFull ?? false;
    return [...note === undefined ? [] : [note], ...isDiskFull ? ["the disk of its log is full"] : []];
  }

  /** Its logs stay. */
  async forget({ name }: Service): Promise<void> {
    const held = this.#running.get(name);
    this.#running.delete(name);
    this.#last.delete(name);
    this.#notes.delete(name);
    this.#pidFiles.remove(name);
    await held?.[Symbol.asyncDispose]();
  }

  /** Watches no more. The services go on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#orphans?.[Symbol.dispose]();
    for (const held of this.#running.values()) this.#letGo(held);
    this.#running.clear();
    await Promise.all(this.#closing);
    await this.#exits[Symbol.asyncDispose]();
  }

  async #find(service: Service): Promise<RunningProcess | undefined> {
    const { name } = service;
    const held = this.#running.get(name);
    if (held) return held.process;
    const named = this.#pidFiles.read(name);
    const account = await this.#accountOf(service);
    const process = named ?? await this.#marked(name, account?.uid ?? Deno.uid());
    // What has been waited for may have brought another answer.
    if (!process || this.#running.has(name)) return this.#running.get(name)?.process;
    const adopted = { pid: process.pid, ...startOf(process.startTicks, this.#options.clock) };
    this.#options.log.debug("A service runs already and is taken over", { service: name, pid: process.pid });
    const commandHash = commandHashOf(service);
    if (named && named.commandHash !== commandHash) {
      this.#notes.set(name, "its file has changed since it was started; a restart applies that");
    }
    this.#hold(service, adopted, { child: undefined, notices: this.#listenIfPossible(service, account) });
    if (!named) this.#pidFiles.write(name, { ...adopted, commandHash });
    return adopted;
  }

  /** One that a manager has started without getting as far as its pid file. Whoever forges a mark has to be the service's user. */
  async #marked(name: string, uid: number | null): Promise<ProcessId | undefined> {
    const mark = this.#mark(name);
    const isOf = (pid: number) => parseProcStatus(readProcFile(pid, "status") ?? "")?.uid === uid;
    return (await this.#seen.look()).find((seen) => seen.isMain && seen.mark === mark && isOf(seen.pid));
  }

  /** Of a user that has been taken away in the meantime there is none. */
  async #accountOf({ user }: Service): Promise<Account | undefined> {
    return user === undefined ? undefined : await accountOf(user).catch(() => undefined);
  }

  #hold({ name, log: { maxBytes } }: Service, process: RunningProcess, { child, notices }: {
    readonly child: Deno.ChildProcess | undefined;
    readonly notices: OwnNotices | undefined;
  }): void {
    const { clock, log } = this.#options;
    const held: OwnService = new OwnService({
      process,
      child,
      notices,
      logFile: new LogFile({ name, path: this.#logPath(name), maxBytes, clock, log }),
      exits: this.#exits,
      onEnd: () => {
        if (this.#running.get(name) === held) this.#running.delete(name);
        this.#pidFiles.removeOf(name, process);
        this.#letGo(held);
      },
    });
    this.#running.set(name, held);
    this.#last.set(name, { id: process, isAsked: false });
  }

  #letGo(held: OwnService): void {
    const closing = held[Symbol.asyncDispose]().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  /** Undefined for a service that says nothing. */
  #listen({ name, notifies }: Service, account: Account | undefined): OwnNotices | undefined {
    if (!notifies) return undefined;
    const { sockets, clock, onNotice } = this.#options;
    const uid = account?.uid ?? Deno.uid()!;
    return new OwnNotices({ sockets, path: this.#notifyPath(name), uid, clock, onNotice: () => onNotice(name) });
  }

  /** One that runs already is better unheard than not taken over. */
  #listenIfPossible(service: Service, account: Account | undefined): OwnNotices | undefined {
    try {
      return this.#listen(service, account);
    } catch (error) {
      this.#options.log.warn("A service cannot be heard", { service: service.name, error: messageOf(error) });
      return undefined;
    }
  }

  async #sweep(name: string): Promise<number> {
    const { clock, log } = this.#options;
    const last = this.#last.get(name);
    const find = async () => {
      const strays = await this.#strays(name, last?.id);
      // What belongs to a process that has been started meanwhile is none.
      return this.#running.has(name) ? [] : strays;
    };
    const { count, left } = await endStrays(find, { exits: this.#exits, clock });
    if (left.length > 0) {
      log.warn("Processes of a service cannot be ended", { service: name, pids: left.map(({ pid }) => pid).join() });
    } else if (this.#last.get(name) === last) this.#last.delete(name);
    if (count > 0 && !last?.isAsked) {
      this.#notes.set(
        name,
        `its last process left ${count} behind, which were ended; it has to stay in the foreground`,
      );
    }
    return count;
  }

  /** What belongs to a service and is not its main process: of its mark, or of that process's session. */
  async #strays(name: string, main: ProcessId | undefined): Promise<readonly (ProcessId & { groupId: number })[]> {
    const mark = this.#mark(name);
    const seen = await this.#seen.look();
    const isMain = (one: ProcessId) => main !== undefined && isSame(one, main);
    // Its number names the session as long as nobody else has it.
    const hasSession = main !== undefined && seen.every((one) => one.pid !== main.pid || isMain(one));
    return seen.filter((one) => !isMain(one) && (one.mark === mark || hasSession && one.sessionId === main.pid));
  }

  /** Made before the process is, so that its user may write it. */
  async #makeLog(name: string, account: Account | undefined): Promise<string> {
    const path = this.#logPath(name);
    try {
      using _file = await Deno.open(path, { append: true, create: true, mode: LOG_MODE });
      if (account && Deno.uid() === 0) await Deno.chown(path, account.uid, account.gid);
    } catch (error) {
      this.#options.log.warn("A service has no log", { service: name, path, error: messageOf(error) });
    }
    return path;
  }

  #mark(name: string): string {
    return `${this.#options.places.run}:${name}`;
  }

  #logPath(name: string): string {
    return join(this.#options.places.logs, `${name}.log`);
  }

  #notifyPath(name: string): string {
    return join(this.#options.places.run, `${name}.notify`);
  }
}

function sendKill(process: ProcessId, to: "process" | "group" = "process"): boolean {
  return sendSignal(process, "SIGKILL", to);
}

function isSame(one: ProcessId, other: ProcessId): boolean {
  return one.pid === other.pid && one.startTicks === other.startTicks;
}

function startOf(startTicks: number, clock: Clock): Pick<RunningProcess, "startTicks" | "startedMs"> {
  const ageMs = (readUptimeMs() ?? 0) - startTicks * TICK_MS;
  return { startTicks, startedMs: clock.wallNow() - ageMs };
}

function checkRights(name: string, account: Account | undefined): void {
  if (!account || Deno.uid() === 0 || account.uid === Deno.uid()) return;
  throw new CulvertError("no_rights", `Cannot start ${name} as ${account.name}: the manager must run as root for that`);
}
