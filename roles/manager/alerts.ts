/**
 * Tells somebody what the manager could not mend: into the log always, by an HTTP request and by a command where the
 * settings name them.
 *
 *   alert ─▶ log
 *         ├▶ waiting (64 at most) ─▶ POST { service, event, message, time }, twice at most
 *         └▶ waiting (64 at most) ─▶ command, with CULVERT_ALERT_SERVICE, _EVENT, _MESSAGE and _TIME in its environment
 *
 * Either way they go one after another, and neither waits for the other; when too many wait, the oldest is dropped and that
 * is logged, as is how many the manager's end leaves untold. The webhook's URL and the command are secrets: no log and
 * no trace repeats them.
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
  /** One that tells no trace of the webhook's URL. */
  readonly fetch: typeof fetch;
}

const MAX_WAITING = 64;
const WEBHOOK_TIMEOUT_MS = 5_000;
const RETRY_AFTER_MS = 1_000;
const COMMAND_TIMEOUT_MS = 30_000;
/** Commands are given no other environment: the manager's own holds what is meant for it alone. */
const COMMAND_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export function openAlerts(options: AlertsOptions): Alerts {
  return new AlertQueues(options);
}

class AlertQueues implements Alerts {
  readonly #options: AlertsOptions;
  readonly #ending = new AbortController();
  readonly #webhooks: AlertQueue<string>;
  readonly #commands: AlertQueue<readonly string[]>;

  constructor(options: AlertsOptions) {
    this.#options = options;
    const { log } = options;
    const { signal } = this.#ending;
    this.#webhooks = new AlertQueue({ how: "webhook", log, signal, send: (url, alert) => this.#post(url, alert) });
    this.#commands = new AlertQueue({ how: "command", log, signal, send: (words, alert) => this.#run(words, alert) });
  }

  tell(alert: Alert, { alertWebhook, alertCommand }: WatchdogSettings): void {
    this.#options.log.error(alert.message, { service: alert.service, event: alert.event });
    if (alertWebhook !== undefined) this.#webhooks.push(alertWebhook, alert);
    if (alertCommand !== undefined) this.#commands.push(alertCommand, alert);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort(new CulvertError("stopped", "The manager ends"));
    await Promise.all([this.#webhooks.ended, this.#commands.ended]);
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
      answer = await this.#options.fetch(url, { method: "POST", body, headers, signal: limit.signal });
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
      detached: true, // in a group of its own, so that what it has started ends with it
    }).spawn();
    const onAbort = () => killGroup(child);
    limit.signal.addEventListener("abort", onAbort, { once: true });
    const { success, code } = await child.status.finally(() => limit.signal.removeEventListener("abort", onAbort));
    if (limit.signal.aborted) throw limit.signal.reason;
    if (!success) throw new CulvertError("failed", `Cannot run the alert's command: it ended with ${code}`);
  }
}

/** It may have ended in the same moment. */
function killGroup({ pid }: Deno.ChildProcess): void {
  try {
    Deno.kill(-pid, "SIGKILL");
  } catch {
    // Then there is nothing to kill.
  }
}

interface QueueOptions<Way> {
  readonly how: "webhook" | "command";
  readonly log: Log;
  readonly signal: AbortSignal;
  send(way: Way, alert: Alert): Promise<void>;
}

/** Those that go one way, one after another. */
class AlertQueue<Way> {
  readonly #options: QueueOptions<Way>;
  readonly #waiting: { readonly way: Way; readonly alert: Alert }[] = [];
  #sending = Promise.resolve();
  #isSending = false;

  constructor(options: QueueOptions<Way>) {
    this.#options = options;
  }

  push(way: Way, alert: Alert): void {
    const { how, log, signal } = this.#options;
    if (signal.aborted) return;
    if (this.#waiting.length === MAX_WAITING) {
      const { service, event } = this.#waiting.shift()!.alert;
      log.warn("An alert was dropped: too many wait", { how, service, event });
    }
    this.#waiting.push({ way, alert });
    if (!this.#isSending) this.#sending = this.#sendAll();
  }

  /** Settles once the signal has aborted and nothing is under way. */
  get ended(): Promise<void> {
    return this.#sending;
  }

  async #sendAll(): Promise<void> {
    const { how, log, signal, send } = this.#options;
    this.#isSending = true;
    for (let next; !signal.aborted && (next = this.#waiting.shift());) {
      const { service, event } = next.alert;
      try {
        await send(next.way, next.alert);
      } catch (error) {
        log.warn(`The alert's ${how} has failed`, { service, event, error: messageOf(error) });
      }
    }
    this.#isSending = false; // at once, or what comes before somebody hears of the end would wait for another
    const count = this.#waiting.length;
    if (count > 0) log.warn("Alerts have gone nowhere but into the log: the manager ends", { how, count });
  }
}
