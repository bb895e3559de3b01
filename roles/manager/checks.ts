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

import type { Service, ServicePort } from "../../protocol/manager/service.ts";
import type { RunningProcess } from "./runner.ts";

export type CheckLevel =
  | "pid"
  | "port"
  | "connection"
  | "end-to-end"
  /** It has not said that it is alive; seen by `supervised_service.ts`. */
  | "alive";

export interface CheckFailure {
  readonly level: CheckLevel;
  /** A sentence without its full stop: "Nothing listens on 127.0.0.1:1080". */
  readonly reason: string;
}

export interface Checks {
  /** Undefined when it works. Rejects only when aborted. */
  check(service: Service, process: RunningProcess, signal: AbortSignal): Promise<CheckFailure | undefined>;
  /** Levels 1 and 2, as often as a start is looked at. */
  checkStart(service: Service, process: RunningProcess): Promise<CheckFailure | undefined>;
  /** Before it is started: which of its ports another has taken, as a sentence that names who where that can be found. */
  portTaken(service: Service): Promise<string | undefined>;
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
  readonly ports: ListeningPorts;
  /** When the process of that pid was started, in ticks; undefined when there is none. */
  startTicksOf(pid: number): Promise<number | undefined>;
  /** Who listens there; undefined when that cannot be found. */
  ownerOf(port: ServicePort): Promise<PortOwner | undefined>;
}
