/**
 * Whether a service works, on four levels, the cheap ones first; the first that fails ends the look.
 *
 *   1 pid         its process is there and is the one that was started
 *   2 port        what should listen does, by the kernel's table
 *   3 connection  it takes a connection there
 *   4 end to end  a request through its proxy is answered
 *
 * A failure is only told here: that it is confirmed and what follows is for `supervised_service.ts`.
 */

import { type Clock, deadline } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Service, ServicePort } from "../../protocol/manager/service.ts";
import { formatTarget, type Target } from "../../protocol/stream.ts";
import { isRunning } from "../../native/process_exits.ts";
import { readProcStat } from "../../native/proc_files.ts";
import { abortable } from "../../net/abortable.ts";
import type { RunningProcess } from "./runner.ts";

export type CheckLevel =
  | "pid"
  | "port"
  | "connection"
  | "end-to-end"
  /** It has not said that it is alive; seen by `supervised_service.ts`, as is the next. */
  | "alive"
  /** No verdict: what there is cannot be looked at. */
  | "unseen";

export interface CheckFailure {
  readonly level: CheckLevel;
  /** A sentence without its full stop: "Nothing listens on 127.0.0.1:1080". */
  readonly reason: string;
}

export interface Checks {
  /** Undefined when it works. Rejects when it is aborted, or where nothing can be looked at. */
  check(service: Service, process: RunningProcess, signal: AbortSignal): Promise<CheckFailure | undefined>;
  /** Levels 1 and 2, as often as a start is looked at. */
  checkStart(service: Service, process: RunningProcess): Promise<CheckFailure | undefined>;
  /** Before it is started: which of its ports another has taken, and who where that can be found. */
  portTaken(service: Service): Promise<CheckFailure | undefined>;
  /** Whether that process runs. Throws where that cannot be seen. */
  isThere(process: RunningProcess): boolean;
}

/** The kernel's tables of what listens: `native/tcp_table.ts`. Those who ask together may be given the same look. */
export interface ListeningPorts {
  /** Whether something listens at each of them: at that very address, or at the one that stands for all. */
  listening(ports: readonly ServicePort[]): Promise<readonly boolean[]>;
}

export interface PortOwner {
  readonly pid: number;
  readonly program: string;
}

export interface ChecksOptions {
  readonly clock: Clock;
  readonly ports: ListeningPorts;
  /** When the process of that pid was started, in ticks; undefined when there is none. Default: by /proc. */
  startTicksOf?(pid: number): number | undefined;
  /** Who listens there; undefined when that cannot be found. */
  ownerOf(port: ServicePort): Promise<PortOwner | undefined>;
}

/** On this machine; a program that needs longer to take a connection is as good as gone. */
const CONNECT_TIMEOUT_MS = 5_000;

export function serviceChecks(options: ChecksOptions): Checks {
  return new ServiceChecks(options);
}

class ServiceChecks implements Checks {
  readonly #options: ChecksOptions;

  constructor(options: ChecksOptions) {
    this.#options = options;
  }

  async check(service: Service, process: RunningProcess, signal: AbortSignal): Promise<CheckFailure | undefined> {
    const failure = await this.checkStart(service, process);
    signal.throwIfAborted();
    return failure ?? await this.#checkConnections(service, signal) ?? await this.#checkEndToEnd(service, signal);
  }

  async checkStart({ listen }: Service, { pid, startTicks }: RunningProcess): Promise<CheckFailure | undefined> {
    const { startTicksOf = startTicksByProc, ports } = this.#options;
    const ticks = startTicksOf(pid);
    if (ticks === undefined) return { level: "pid", reason: `Its process ${pid} is gone` };
    if (ticks !== startTicks) return { level: "pid", reason: `Its process is gone, and ${pid} is another's by now` };
    if (listen.length === 0) return undefined;
    const silent = listen[(await ports.listening(listen)).indexOf(false)];
    return silent && { level: "port", reason: `Nothing listens on ${formatPort(silent)}` };
  }

  async portTaken({ listen }: Service): Promise<CheckFailure | undefined> {
    for (const port of listen) {
      const owner = await this.#options.ownerOf(port);
      if (owner) return takenBy(port, `${owner.program} (pid ${owner.pid})`);
    }
    if (listen.length === 0) return undefined;
    const taken = listen[(await this.#options.ports.listening(listen)).indexOf(true)];
    return taken && takenBy(taken, "a program that cannot be seen");
  }

  isThere(process: RunningProcess): boolean {
    return isRunning(process);
  }

  async #checkConnections({ connects, listen }: Service, parent: AbortSignal): Promise<CheckFailure | undefined> {
    if (!connects) return undefined;
    for (const { kind, at } of listen) {
      if (kind !== "tcp") continue;
      using limit = deadline(this.#options.clock, CONNECT_TIMEOUT_MS, "connect", parent);
      try {
        await connectTo(at, limit.signal);
      } catch (error) {
        parent.throwIfAborted();
        return { level: "connection", reason: `No connection to ${formatTarget(at)}: ${messageOf(error)}` };
      }
    }
    return undefined;
  }

  async #checkEndToEnd({ probe }: Service, signal: AbortSignal): Promise<CheckFailure | undefined> {
    if (!probe) return undefined;
    // Its HTTP client is 9 MiB of memory that only those with a probe need.
    const { askThrough } = await import("./end_to_end.ts");
    const reason = await askThrough(probe, { clock: this.#options.clock, signal });
    return reason === undefined ? undefined : { level: "end-to-end", reason };
  }
}

/** What listens on every address of the machine is reached on its own. */
const ownAddresses: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

async function connectTo({ host, port }: Target, signal: AbortSignal): Promise<void> {
  const hostname = ownAddresses[host] ?? host;
  const connection = await abortable(() => Deno.connect({ hostname, port }), signal);
  connection.close();
}

function startTicksByProc(pid: number): number | undefined {
  return readProcStat(pid)?.startTicks;
}

function takenBy(port: ServicePort, whom: string): CheckFailure {
  return { level: "port", reason: `${formatPort(port)} is taken by ${whom}` };
}

function formatPort({ kind, at }: ServicePort): string {
  return kind === "udp" ? `${formatTarget(at)} (UDP)` : formatTarget(at);
}
