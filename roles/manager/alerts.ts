/**
 * Tells somebody what the manager could not mend: into the log always, by an HTTP request and by a command where the
 * settings name them.
 *
 *   alert ─▶ log
 *         ├▶ waiting (64 at most) ─▶ POST { service, event, message, time }, twice at most
 *         └▶                      ─▶ command, with CULVERT_ALERT_SERVICE, _EVENT, _MESSAGE and _TIME in its environment
 *
 * They are told one after another; when too many wait, the oldest is dropped and that is logged. The webhook's URL and the
 * command are secrets: no log repeats them.
 */

import { type Clock, deadline, delay } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
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

export interface AlertsOptions {
  readonly clock: Clock;
  readonly log: Log;
}

const MAX_WAITING = 64;
const WEBHOOK_TIMEOUT_MS = 5_000;
const RETRY_AFTER_MS = 1_000;
const COMMAND_TIMEOUT_MS = 30_000;
/** Commands are given no other environment: the manager's own holds what is meant for it alone. */
const COMMAND_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export function openAlerts(options: AlertsOptions): Alerts {
  return new AlertQueue(options);
}

interface Waiting {
  readonly alert: Alert;
  readonly webhook: string | undefined;
  readonly command: readonly string[] | undefined;
}

class AlertQueue implements Alerts {
  readonly #options: AlertsOptions;
  readonly #waiting: Waiting[] = [];
  readonly #ending = new AbortController();
  #telling: Promise<void> | undefined;

  constructor(options: AlertsOptions) {
    this.#options = options;
  }

  tell(alert: Alert, { alertWebhook: webhook, alertCommand: command }: WatchdogSettings): void {
    const { log } = this.#options;
    log.error(alert.message, { service: alert.service, event: alert.event });
    if (webhook === undefined && command === undefined || this.#ending.signal.aborted) return;
    if (this.#waiting.length === MAX_WAITING) {
      const dropped = this.#waiting.shift()!.alert;
      log.warn("An alert was dropped: too many wait", { service: dropped.service, event: dropped.event });
    }
    this.#waiting.push({ alert, webhook, command });
    this.#telling ??= this.#tellAll().finally(() => this.#telling = undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort(new CulvertError("stopped", "The manager ends"));
    await this.#telling;
  }

  async #tellAll(): Promise<void> {
    const { signal } = this.#ending;
    for (let next; !signal.aborted && (next = this.#waiting.shift());) {
      const { alert, webhook, command } = next;
      if (webhook !== undefined) await this.#deliver("webhook", alert, () => this.#post(webhook, alert));
      if (command !== undefined) await this.#deliver("command", alert, () => this.#run(command, alert));
    }
  }

  /** Never rejects. */
  async #deliver(how: string, { service, event }: Alert, send: () => Promise<void>): Promise<void> {
    try {
      await send();
    } catch (error) {
      this.#options.log.warn(`The alert's ${how} has failed`, { service, event, error: messageOf(error) });
    }
  }

  async #post(url: string, alert: Alert): Promise<void> {
    const { signal } = this.#ending;
    try {
      await this.#postOnce(url, alert);
    } catch {
      await delay(this.#options.clock, RETRY_AFTER_MS, signal);
      await this.#postOnce(url, alert);
    }
  }

  async #postOnce(url: string, { service, event, message, atMs }: Alert): Promise<void> {
    using limit = deadline(this.#options.clock, WEBHOOK_TIMEOUT_MS, "post the alert", this.#ending.signal);
    const body = JSON.stringify({ service, event, message, time: new Date(atMs).toISOString() });
    const headers = { "content-type": "application/json" };
    let answer;
    try {
      answer = await fetch(url, { method: "POST", body, headers, signal: limit.signal });
    } catch (error) {
      if (limit.signal.aborted) throw limit.signal.reason;
      // Its message holds the URL.
      throw new CulvertError("failed", `Cannot post the alert: ${new URL(url).host} cannot be reached`, {
        cause: error,
      });
    }
    await answer.body?.cancel();
    if (!answer.ok) throw new CulvertError("failed", `Cannot post the alert: the answer was ${answer.status}`);
  }

  async #run([program, ...args]: readonly string[], { service, event, message, atMs }: Alert): Promise<void> {
    using limit = deadline(this.#options.clock, COMMAND_TIMEOUT_MS, "run the alert's command", this.#ending.signal);
    const child = new Deno.Command(program!, {
      args,
      clearEnv: true,
      env: {
        PATH: COMMAND_PATH,
        CULVERT_ALERT_SERVICE: service,
        CULVERT_ALERT_EVENT: event,
        CULVERT_ALERT_MESSAGE: message,
        CULVERT_ALERT_TIME: new Date(atMs).toISOString(),
      },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const onAbort = () => killQuietly(child);
    limit.signal.addEventListener("abort", onAbort, { once: true });
    const { success, code } = await child.status.finally(() => limit.signal.removeEventListener("abort", onAbort));
    if (limit.signal.aborted) throw limit.signal.reason;
    if (!success) throw new CulvertError("failed", `Cannot run the alert's command: it ended with ${code}`);
  }
}

/** It may have ended in the same moment. */
function killQuietly(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // Then there is nothing to kill.
  }
}
