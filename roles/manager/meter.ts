/**
 * What services use, measured from outside: memory, open files, processor time and processes from /proc, connections and
 * bytes from the kernel's table of sockets.
 *
 *   sample ─▶ all processes, read once ─▶ those of each service ─▶ sums │ rates since a look at least a second ago
 *
 * Rates want some time between two looks, because processor time is told in hundredths of a second; who asks sooner is told
 * the rate of before. Whoever samples at a pace of its own (limits, people) has a meter of its own. Connections are told
 * apart by their port alone: services that share one on different addresses are told each other's.
 */

import type { Connection } from "../../protocol/bound_socket.ts";
import type { Clock } from "../../protocol/clock.ts";
import { parseProcStatus, type ProcStat, TICK_MS } from "../../protocol/manager/proc_text.ts";
import type { Service } from "../../protocol/manager/service.ts";
import { readProcFile } from "../../native/proc_files.ts";
import type { TcpTable } from "../../native/tcp_table.ts";
import { type ByteTotals, ConnectionBytes } from "./connection_bytes.ts";
import type { MeteredService, ServiceMeter, ServiceSample } from "./limits.ts";
import { readServiceProcesses, type ServiceProcesses } from "./service_processes.ts";

/** Shorter than that, a tick more or less would be percents. */
const MIN_WINDOW_MS = 1_000;
/** What has not been asked for as long is forgotten. */
const FORGET_AFTER_MS = 600_000;

interface ServiceRates {
  readonly cpuPercent?: number;
  /** Absent where it has no TCP ports, or the kernel tells no bytes. */
  readonly inBitsPerS?: number;
  readonly outBitsPerS?: number;
}

export interface ServiceUsage extends ServiceSample, ServiceRates {
  readonly processes: number;
  /** Of one core, on average. */
  readonly cpuPercentSinceStart: number;
  /** At its TCP ports; absent where it has none. */
  readonly connections?: number;
}

export interface MeterOptions {
  readonly clock: Clock;
  /** Left out, connections are not looked at. It stays the caller's. */
  readonly sockets?: TcpTable;
  /** How old what is known of all processes may be, where many ask one after the other. Default 0. */
  readonly maxAgeMs?: number;
  /** Default: this one. */
  readonly machine?: MeteredMachine;
}

/** Where the numbers come from. What has gone, or may not be looked at, counts as nothing. */
export interface MeteredMachine {
  processes(): ServiceProcesses;
  memoryBytesOf(pid: number): number;
  openFilesOf(pid: number): number;
}

/** What of a service has been counted up to a moment. */
interface Counts {
  readonly atMs: number;
  readonly cpuTicks: number;
  readonly bytes?: ByteTotals | undefined;
}

/** What is kept of a service from one look to the next. */
interface Past {
  readonly startTicks: number;
  readonly connections: ConnectionBytes;
  askedAtMs: number;
  base: Counts;
  rates: ServiceRates;
}

/** All processes, and when they were read. */
interface Look {
  readonly processes: ServiceProcesses;
  readonly atMs: number;
}

export class Meter implements ServiceMeter {
  readonly #options: MeterOptions;
  readonly #machine: MeteredMachine;
  readonly #pasts = new Map<string, Past>();
  #look: Look | undefined;

  constructor(options: MeterOptions) {
    this.#options = options;
    this.#machine = options.machine ?? thisMachine;
  }

  /** In their order; undefined for one that has gone. */
  sample(services: readonly MeteredService[]): Promise<readonly (ServiceUsage | undefined)[]> {
    return Promise.try(() => {
      const { processes, atMs } = this.#lookAt(services);
      const connections = this.#connectionsOf(services);
      this.#forgetOld(atMs);
      return services.map((metered, index) => {
        const members = processes.of(metered);
        return members && this.#usageOf(metered, { members, atMs, connections: connections?.[index] });
      });
    });
  }

  /** A service that was started after the last look makes for another. */
  #lookAt(services: readonly MeteredService[]): Look {
    const { clock, maxAgeMs = 0 } = this.#options;
    const last = this.#look;
    const isFresh = last && clock.now() - last.atMs < maxAgeMs && services.every((each) => last.processes.of(each));
    return this.#look = isFresh ? last : { processes: this.#machine.processes(), atMs: clock.now() };
  }

  /** Of each service, where connections are looked at. */
  #connectionsOf(services: readonly MeteredService[]): (readonly Connection[])[] | undefined {
    const ports = services.map(({ service }) => tcpPortsOf(service));
    const all = this.#options.sockets?.connections(new Set(ports.flat()));
    if (!all) return undefined;
    const byPort = Map.groupBy(all, ({ localPort }) => localPort);
    return ports.map((own) => [...new Set(own)].flatMap((port) => byPort.get(port) ?? []));
  }

  #usageOf(
    { service, process }: MeteredService,
    seen: { members: readonly ProcStat[]; atMs: number; connections: readonly Connection[] | undefined },
  ): ServiceUsage {
    const { members, atMs } = seen;
    const connections = tcpPortsOf(service).length > 0 ? seen.connections : undefined;
    const past = this.#pastOf(service.name, { startTicks: process.startTicks, askedAtMs: atMs });
    const cpuTicks = sum(members, (stat) => stat.userTicks + stat.systemTicks + stat.childTicks);
    const rates = advance(past, { atMs, cpuTicks, bytes: connections && past.connections.count(connections) });
    const ageMs = this.#options.clock.wallNow() - process.startedMs;
    return {
      memoryBytes: sum(members, ({ pid }) => this.#machine.memoryBytesOf(pid)),
      openFiles: sum(members, ({ pid }) => this.#machine.openFilesOf(pid)),
      processes: members.length,
      cpuPercentSinceStart: percentOf(cpuTicks, Math.max(ageMs, TICK_MS)),
      ...connections && { connections: connections.length },
      ...rates,
    };
  }

  #pastOf(name: string, { startTicks, askedAtMs }: Pick<Past, "startTicks" | "askedAtMs">): Past {
    const known = this.#pasts.get(name);
    if (known?.startTicks === startTicks) {
      known.askedAtMs = askedAtMs;
      return known;
    }
    const base = { atMs: -Infinity, cpuTicks: 0 };
    const past = { startTicks, connections: new ConnectionBytes(), askedAtMs, base, rates: {} };
    this.#pasts.set(name, past);
    return past;
  }

  #forgetOld(nowMs: number): void {
    for (const [name, { askedAtMs }] of this.#pasts) {
      if (nowMs - askedAtMs > FORGET_AFTER_MS) this.#pasts.delete(name);
    }
  }
}

/** The rates up to now; what they are counted from moves on once enough time has passed. */
function advance(past: Past, now: Counts): ServiceRates {
  const { base } = past;
  const elapsedMs = now.atMs - base.atMs;
  if (elapsedMs < MIN_WINDOW_MS) return past.rates;
  past.base = now;
  // The first look: there is nothing yet to count from.
  if (elapsedMs === Infinity) return past.rates;
  const bitsPerS = (bytes: number) => bytes * 8 / (elapsedMs / 1000);
  past.rates = {
    // A child that ends without being collected takes its time with it.
    cpuPercent: percentOf(Math.max(now.cpuTicks - base.cpuTicks, 0), elapsedMs),
    ...now.bytes && base.bytes && {
      inBitsPerS: bitsPerS(now.bytes.inBytes - base.bytes.inBytes),
      outBitsPerS: bitsPerS(now.bytes.outBytes - base.bytes.outBytes),
    },
  };
  return past.rates;
}

function percentOf(ticks: number, elapsedMs: number): number {
  return ticks * TICK_MS / elapsedMs * 100;
}

function tcpPortsOf({ listen }: Service): number[] {
  return listen.filter(({ kind }) => kind === "tcp").map(({ at }) => at.port);
}

function sum<T>(items: readonly T[], valueOf: (item: T) => number): number {
  return items.reduce((total, item) => total + valueOf(item), 0);
}

const thisMachine: MeteredMachine = {
  processes: readServiceProcesses,
  memoryBytesOf: (pid) => parseProcStatus(readProcFile(pid, "status") ?? "")?.residentBytes ?? 0,
  openFilesOf,
};

/** The folder's size is their number since Linux 6.2, and 0 before. */
function openFilesOf(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  try {
    return Deno.statSync(folder).size || [...Deno.readDirSync(folder)].length;
  } catch {
    return 0;
  }
}
