/**
 * Tells whoever started this process how it is, by sd_notify(3): systemd, the manager, or anybody who sets `$NOTIFY_SOCKET`.
 *
 *   READY=1 once it does its work ─▶ WATCHDOG=1 twice in $WATCHDOG_USEC, as long as the event loop turns ─▶ STOPPING=1
 *
 * Said through the kernel where FFI is allowed, else by the program `systemd-notify` where that may be run (the unit needs
 * `NotifyAccess=all` then); where neither is, a line of log says so and the role goes on. What nobody takes is said again
 * later, together with what has come since: the manager may be being started again. Without the variable nothing is loaded.
 */

import type { Clock, Timer } from "../protocol/clock.ts";
import { deadline } from "../protocol/clock.ts";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import type { Log } from "../protocol/log.ts";
import { type Notice, noticeText } from "../protocol/manager/notify_text.ts";

const SAY_AGAIN_MS = 2_000;
/** The program only passes a datagram on. */
const PROGRAM_MS = 3_000;
const PROGRAM = "systemd-notify";

export interface NotifyingOptions {
  env(name: string): string | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** Aborted when this process begins to end. */
  readonly stopping: AbortSignal;
}

/** What passes a text on, and says whether it was taken. */
export interface Voice extends Disposable {
  send(text: string): boolean | Promise<boolean>;
}

/** Undefined where nobody listens, or nothing can be said. */
export async function openNotifying(options: NotifyingOptions): Promise<Notifying | undefined> {
  const socket = options.env("NOTIFY_SOCKET");
  if (!socket) return undefined;
  try {
    return new Notifying(await openVoice(socket, options), options);
  } catch (error) {
    options.log.warn("Whoever started this role is not told how it is", { reason: messageOf(error) });
    return undefined;
  }
}

export class Notifying implements AsyncDisposable {
  readonly #voice: Voice;
  readonly #options: NotifyingOptions;
  readonly #timers = new Map<"again" | "alive", Timer>();
  readonly #onStopping = () => this.#tell({ stopping: true });
  /** What nobody has taken yet. */
  #untold: Partial<Notice> | undefined;
  #speaking: Promise<void> | undefined;
  #isClosed = false;

  constructor(voice: Voice, options: NotifyingOptions) {
    this.#voice = voice;
    this.#options = options;
    options.stopping.addEventListener("abort", this.#onStopping, { once: true });
    const watchdogMs = watchdogOf(options);
    if (watchdogMs !== undefined) this.#tellAlive(watchdogMs / 2);
  }

  /** It does its work from now on. */
  ready(status: string): void {
    this.#tell({ ready: true, status });
  }

  /** Waits for what is being said. What nobody has taken by now is not said any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#options.stopping.removeEventListener("abort", this.#onStopping);
    for (const timer of this.#timers.values()) timer.cancel();
    await this.#speaking;
    this.#voice[Symbol.dispose]();
  }

  #tellAlive(everyMs: number): void {
    this.#tell({ alive: true });
    this.#timers.set("alive", this.#options.clock.after(everyMs, () => this.#tellAlive(everyMs)));
  }

  #tell(notice: Partial<Notice>): void {
    this.#untold = { ...this.#untold, ...notice };
    // One at a time: what comes meanwhile is said together.
    this.#speaking ??= this.#speak();
  }

  async #speak(): Promise<void> {
    while (this.#untold) {
      const notice = this.#untold;
      this.#untold = undefined;
      if (await this.#voice.send(noticeText(notice))) {
        this.#timers.get("again")?.cancel();
        continue;
      }
      this.#untold = { ...notice, ...this.#untold as Partial<Notice> | undefined };
      this.#tellAgainLater();
      break;
    }
    // In the same breath: what comes from now on has to begin anew.
    this.#speaking = undefined;
  }

  #tellAgainLater(): void {
    if (this.#isClosed) return;
    this.#timers.get("again")?.cancel();
    this.#timers.set("again", this.#options.clock.after(SAY_AGAIN_MS, () => this.#tell({})));
  }
}

/** How long this process may be silent; undefined when nobody minds, or another process was meant. */
function watchdogOf({ env }: NotifyingOptions): number | undefined {
  const pid = env("WATCHDOG_PID");
  const us = Number(env("WATCHDOG_USEC"));
  const isMeant = pid === undefined || Number(pid) === Deno.pid;
  return isMeant && Number.isFinite(us) && us >= MIN_WATCHDOG_US ? us / 1000 : undefined;
}

/** Below it is nobody's wish, and would keep this process busy. */
const MIN_WATCHDOG_US = 1000;

async function openVoice(socket: string, options: NotifyingOptions): Promise<Voice> {
  if (isGranted({ name: "ffi", path: "libc.so.6" })) {
    const { NotifySender } = await import("../native/notify_sender.ts");
    return new NotifySender(socket);
  }
  if (isGranted({ name: "run", command: PROGRAM })) return programVoice(options);
  throw new CulvertError(
    "not_allowed",
    `Cannot say it: this needs --allow-ffi, or --allow-run=${PROGRAM} and NotifyAccess=all in the unit`,
  );
}

function isGranted(permission: Deno.PermissionDescriptor): boolean {
  return Deno.permissions.querySync(permission).state === "granted";
}

/** It finds the socket in the environment that it has from us. */
function programVoice({ clock, log }: NotifyingOptions): Voice {
  let hasWarned = false;
  return {
    async send(text) {
      using limit = deadline(clock, PROGRAM_MS, `run ${PROGRAM}`);
      try {
        const command = new Deno.Command(PROGRAM, {
          args: text.trimEnd().split("\n"),
          signal: limit.signal,
          stdout: "null",
          stderr: "null",
        });
        return (await command.output()).success;
      } catch (error) {
        if (!hasWarned) log.warn("Whoever started this role is not told how it is", { reason: messageOf(error) });
        hasWarned = true;
        return false;
      }
    },
    [Symbol.dispose]() {},
  };
}
