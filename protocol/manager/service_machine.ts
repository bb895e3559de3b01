/**
 * When a service is started, stopped, mended and given up. (Shapes; the machine follows.)
 */

import type { ServiceState } from "./report.ts";
import type { WatchdogSettings } from "./watchdog_settings.ts";

export type ServiceEvent =
  /** An operator asks. */
  | { readonly is: "start" | "stop" | "restart" }
  /** Its process was found running when the manager started. */
  | { readonly is: "adopted" }
  /** `spawn` has given a process. */
  | { readonly is: "spawned" }
  /** `spawn` has given none, and nothing is left of it. */
  | { readonly is: "unspawned"; readonly reason: string }
  /** All that was to be verified of its start holds. */
  | { readonly is: "verified" }
  /** Its process has ended, at that time. */
  | { readonly is: "exited"; readonly how: string; readonly atMs: number }
  /** Nothing is left of what its process had started. */
  | { readonly is: "swept" }
  /** It runs and does not work, or harms others by what it uses. */
  | { readonly is: "failing"; readonly reason: string; readonly isHarmful: boolean };

export type ServiceAction =
  /** Start its process, and say `spawned` or `unspawned`. */
  | { readonly do: "spawn" }
  /** Give up the spawn that is under way; say which of the two came of it all the same. */
  | { readonly do: "abandon" }
  /** Look whether it has started, again and again, until it has (`verified`) or it is told otherwise. */
  | { readonly do: "verify" }
  | { readonly do: "terminate" }
  | { readonly do: "kill" }
  /** End what its process has left behind, and say `swept`. */
  | { readonly do: "sweep" }
  | { readonly do: "tell"; readonly news: ServiceNews };

export interface ServiceNews {
  /** `alert` is for somebody who is not looking. */
  readonly level: "info" | "warn" | "alert";
  readonly event:
    | "starting"
    | "started"
    | "adopted"
    | "stopping"
    | "stopped"
    | "crashed"
    | "restarting"
    | "gave_up"
    | "unhealthy"
    | "will_not_end";
  readonly message: string;
}

export declare class ServiceMachine {
  constructor(settings: WatchdogSettings, nowMs: number);
  readonly state: ServiceState;
  /** When it came into this state. */
  readonly sinceMs: number;
  /** When `tick` has something to do. */
  readonly nextAtMs: number | undefined;
  /** When it will be started again, while a wait lasts. */
  readonly nextStartAtMs: number | undefined;
  readonly gaveUp: boolean;
  readonly reason: string | undefined;
  readonly lastExit: string | undefined;
  /** Automatic ones since the machine was made. */
  readonly restarts: number;
  recentRestarts(nowMs: number): number;
  handle(event: ServiceEvent, nowMs: number): ServiceAction[];
  tick(nowMs: number): ServiceAction[];
  configure(settings: WatchdogSettings, nowMs: number): ServiceAction[];
}
