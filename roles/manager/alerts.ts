/**
 * Tells somebody what the manager could not mend: into the log always, by an HTTP request and by a command where the
 * settings name them.
 */

import type { ServiceNews } from "../../protocol/manager/service_events.ts";
import type { WatchdogSettings } from "../../protocol/manager/watchdog_settings.ts";

export interface Alert {
  readonly service: string;
  /** What it is about, for programs. */
  readonly event: ServiceNews["event"];
  /** For people. */
  readonly message: string;
  /** By the wall clock. */
  readonly atMs: number;
}

export interface Alerts extends AsyncDisposable {
  /** Returns at once; what cannot be delivered is logged. */
  tell(alert: Alert, settings: WatchdogSettings): void;
}
