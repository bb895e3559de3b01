/**
 * All services: reads their files, takes over what runs, starts what is enabled, answers for them. (Shapes; the rest follows.)
 */

import type { Clock } from "../../protocol/clock.ts";
import type { Log } from "../../protocol/log.ts";
import type { ManagerReport } from "../../protocol/manager/report.ts";
import type { Service } from "../../protocol/manager/service.ts";
import type { ServiceNews } from "../../protocol/manager/service_events.ts";
import type { Alerts } from "./alerts.ts";
import type { Checks } from "./checks.ts";
import type { MeteredService, ServiceMeter } from "./limits.ts";
import type { ServiceRunner } from "./runner.ts";

/** What the service files and the watchdog's settings say by now. */
export interface LoadedServices {
  readonly services: readonly Service[];
  /** Files that cannot be used, each with what is wrong. */
  readonly problems: readonly string[];
  /** Services of which there is a file that cannot be used: what runs of them goes on as it was. */
  readonly broken: readonly string[];
}

export interface ServiceLoader {
  /** Rejects where nothing can be said, such as for wrong settings of the watchdog: all stays as it was. */
  load(): Promise<LoadedServices>;
}

export interface SupervisorOptions {
  readonly files: ServiceLoader;
  readonly runner: ServiceRunner;
  readonly checks: Checks;
  readonly alerts: Alerts;
  /** For limits alone. */
  readonly meter: ServiceMeter;
  /** Both times: durations by `now`, what is reported by `wallNow`. */
  readonly clock: Clock;
  readonly log: Log;
  /** The manager's own. */
  readonly pid: number;
  /** After every change of a service. */
  onEvent?(event: SupervisorEvent): void;
}

export interface SupervisorEvent {
  readonly name: string;
  /** Absent where something has changed without words, such as its health. */
  readonly news?: ServiceNews;
}

export declare class Supervisor implements AsyncDisposable {
  constructor(options: SupervisorOptions);
  /** Reads the files, takes over what runs and starts the others that are enabled. Rejects where the files cannot be read. */
  begin(): Promise<void>;
  /** Of these, or of all. Throws `unknown_service`. */
  report(names?: readonly string[]): ManagerReport;
  /** Those of which a process runs, for a meter. Throws `unknown_service`. */
  running(names?: readonly string[]): readonly MeteredService[];
  /** They return at once. Throw `unknown_service`. */
  start(name: string): void;
  stop(name: string): void;
  restart(name: string): void;
  reload(): Promise<void>;
  /** The runner's `onNotice`. */
  noticed(name: string): void;
  /** Stops all, and settles when nothing runs. */
  stopAll(signal: AbortSignal): Promise<void>;
  /** Services go on without the manager. */
  [Symbol.asyncDispose](): Promise<void>;
}
