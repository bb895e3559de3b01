/**
 * What starts services' processes and tells how they end: our own children (`own_runner.ts`) or systemd's units
 * (`systemd_runner.ts`). It does what it is told; when to start, stop and give up is the service machine's.
 *
 *   find ─▶ adopted │ start ─▶ process ─▶ exited ─▶ sweep
 *                              └─ signal TERM … KILL
 */

import type { Service } from "../../protocol/manager/service.ts";

/** A pid alone is nobody: another process may have it by now. */
export interface RunningProcess {
  readonly pid: number;
  /** When the kernel started it, in ticks since the machine's start. */
  readonly startTicks: number;
  /** The same by the wall clock. */
  readonly startedMs: number;
}

export interface ServiceExit {
  /** Undefined where a signal ended it, or nobody can tell: of an adopted process the kernel tells only its parent. */
  readonly code?: number;
  readonly signal?: string;
}

/** What a process says of itself by sd_notify. */
export interface Notices {
  readonly readyAtMs?: number;
  /** When it last said that it is alive (WATCHDOG=1), by the clock. */
  readonly aliveAtMs?: number;
  /** In its own words, at most 200 characters, printable. */
  readonly status?: string;
}

export interface ServiceRunner extends AsyncDisposable {
  readonly backend: "own" | "systemd";
  /** What runs of each of them, whoever started it; undefined for one of which nothing does. */
  find(services: readonly Service[]): Promise<readonly (RunningProcess | undefined)[]>;
  /** Starts its process and gives it as soon as there is one. Rejects where there is none: no such program, user, … */
  start(service: Service, signal: AbortSignal): Promise<RunningProcess>;
  /** Settles as soon as that process has ended. Of one that is gone already, at once. */
  exited(service: Service, process: RunningProcess): Promise<ServiceExit>;
  /** To all of its processes. Does nothing where it is gone. */
  signal(service: Service, process: RunningProcess, name: "SIGTERM" | "SIGKILL"): Promise<void>;
  /** Ends what its main process has left behind, and gives how many that were. */
  sweep(service: Service): Promise<number>;
  /** What its process has said since it was started. `onNotice` of the runner's options is called at each. */
  notices(service: Service): Notices;
  /** What its owner should know: a unit that was edited by hand, say. */
  notes(service: Service): readonly string[];
  /** The service is gone from the files: forget it. Not called while its process runs. */
  forget(service: Service): Promise<void>;
}

/** Every runner is given these. */
export interface RunnerEvents {
  /** The named service has said something new. */
  onNotice(name: string): void;
}
