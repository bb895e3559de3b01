/**
 * A first `watchdog.conf`: every setting by its name and with its default, none of them set.
 */

import type { WatchdogSettings } from "../../../protocol/manager/watchdog_settings.ts";

const MS_PER_S = 1000;

export function watchdogText(defaults: WatchdogSettings): string {
  const rows: readonly (readonly [name: string, value: string | number | boolean, what: string])[] = [
    ["CHECK_INTERVAL", defaults.checkIntervalMs / MS_PER_S, "How often services are checked, in seconds."],
    ["MAX_RESTARTS", defaults.maxRestarts, "How many restarts there may be in the window, before it is given up."],
    ["RESTART_WINDOW", defaults.restartWindowMs / MS_PER_S, "That window, in seconds."],
    ["WATCHDOG_ENABLED", defaults.enabled, "Whether what crashes is started again."],
    ["ALERT_THRESHOLD", defaults.alertThreshold, "From how many restarts in the window on somebody is told."],
    ["STOP_TIMEOUT", defaults.stopTimeoutMs / MS_PER_S, "From SIGTERM to SIGKILL, in seconds."],
    ["START_TIMEOUT", defaults.startTimeoutMs / MS_PER_S, "How long a start may take, in seconds."],
    ["BACKOFF_BASE", defaults.backoffBaseMs / MS_PER_S, "The wait before the first restart, in seconds; it doubles."],
    ["BACKOFF_MAX", defaults.backoffMaxMs / MS_PER_S, "The longest such wait."],
    ["ALERT_WEBHOOK", '"https://alerts.example/culvert"', "Where alerts are posted to, as JSON."],
    ["ALERT_COMMAND", '"/usr/local/bin/alert"', "What is run at an alert, told of it by CULVERT_ALERT_* variables."],
  ];
  const head = "# Settings of culvert's watchdog; read again when the manager is sent SIGHUP.\n";
  return head + rows.map(([name, value, what]) => `\n# ${what}\n#${name}=${value}\n`).join("");
}
