/**
 * How the manager watches, restarts and gives up: what `watchdog.conf` or `watchdog.toml` says, and the `[watchdog]` of a
 * service's file for that service.
 */

export interface WatchdogSettings {
  /** Whether what crashes is started again; what is started and stopped by hand is so either way. */
  readonly enabled: boolean;
  readonly checkIntervalMs: number;
  /** So many restarts in so much time, and no more. */
  readonly maxRestarts: number;
  readonly restartWindowMs: number;
  /** Somebody is told from so many restarts in the window on. */
  readonly alertThreshold: number;
  /** Before the n-th restart of a window: base · 2^n, from n = 0, never above the most. */
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  /** How long a process has to be alive before it counts as started; below `startTimeoutMs`. */
  readonly settleMs: number;
  /** How long it may take until its ports listen and it says that it is ready. */
  readonly startTimeoutMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly stopTimeoutMs: number;
  readonly alertWebhook?: string;
  /** A program and its arguments. */
  readonly alertCommand?: readonly string[];
}

/** The seed's numbers where it has them. */
export const defaultWatchdogSettings: WatchdogSettings = {
  enabled: true,
  checkIntervalMs: 30_000,
  maxRestarts: 5,
  restartWindowMs: 300_000,
  alertThreshold: 3,
  backoffBaseMs: 5_000,
  backoffMaxMs: 300_000,
  settleMs: 2_000,
  startTimeoutMs: 30_000,
  stopTimeoutMs: 30_000,
};
