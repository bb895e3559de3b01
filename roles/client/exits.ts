/**
 * A client's exits: the switch between sessions, kept supplied with them until it is disposed.
 */

import { SessionSwitch, type SessionSwitchOptions } from "../../net/session_switch.ts";
import type { SupernodeWay } from "../../net/watched_session.ts";
import { type Clock, delay } from "../../protocol/clock.ts";
import type { ExitWish } from "../../protocol/control/messages.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { RoleContext } from "../role.ts";
import type { ClientSessions } from "./sessions.ts";

export interface ExitsOptions extends
  Pick<
    SessionSwitchOptions,
    | "probe"
    | "probeEveryMs"
    | "probeTimeoutMs"
    | "failuresToDown"
    | "proveWithinMs"
    | "onTake"
    | "onLose"
    | "supernode"
  > {
  readonly sessions: ClientSessions;
  /** What is wished for, anew for each session; which exits are not wanted is added. */
  wish(): ExitWish;
}

/** The switch. Disposing lets go of every session, and waits for it. */
export function openExits(
  { sessions, wish, ...watching }: ExitsOptions,
  { clock, random, log, metrics, tracing }: Pick<RoleContext, "clock" | "random" | "log" | "metrics" | "tracing">,
): { readonly path: SessionSwitch } & AsyncDisposable {
  const path = new SessionSwitch({
    ...watching,
    acquire: (exclude, signal) =>
      tracing.run("session.setup", {}, async (span) => {
        const session = await sessions.request(
          { ...wish(), ...(exclude.length > 0 && { exclude: [...exclude] }) },
          signal,
        );
        span.add({ session_id: session.sessionId });
        return session;
      }),
    renew: (sessionId, signal) => sessions.renew(sessionId, signal),
    release: (sessionId) => sessions.release(sessionId),
    clock,
    random,
    log,
    metrics,
  });
  return {
    path,
    async [Symbol.asyncDispose]() {
      path.close();
      await path.closed();
    },
  };
}

/** The way of a client's streams to the supernode: its data link. */
export function streamsWay(sessions: ClientSessions): SupernodeWay {
  return {
    get isUp() {
      return sessions.way.isUp;
    },
    get losses() {
      return sessions.way.losses;
    },
    up: (signal) => sessions.way.up(signal),
  };
}

export function untilDisposed(run: (signal: AbortSignal) => Promise<void>): AsyncDisposable {
  const stop = new AbortController();
  const running = run(stop.signal);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

/** The control stream is open, for the first time or again. */
export async function settle(
  sessions: ClientSessions,
  exits: SessionSwitch,
  { log, signal }: Pick<RoleContext, "log" | "signal">,
): Promise<void> {
  try {
    await sessions.reconcile(exits);
    if (signal.aborted) return;
    if (sessions.hasMoved(exits)) await exits.replace("moved", signal);
    else await exits.warm(signal);
  } catch (error) {
    if (!signal.aborted) log.warn("There is no exit yet", { error: messageOf(error) });
  }
}

export interface WantedOptions {
  readonly exits: Pick<SessionSwitch, "present" | "warm">;
  readonly control: { readonly isOpen: boolean };
  readonly clock: Clock;
  readonly log: Log;
}

const LOOK_MS = 250;
const MAX_PAUSE_MS = 5_000;

/**
 * Asks for a session whenever there is none: nothing is dialled that would ask. Ever more seldom while there is none to be
 * had. Never rejects.
 */
export async function keepWanted({ exits, control, clock, log }: WantedOptions, signal: AbortSignal): Promise<void> {
  for (let pauseMs = LOOK_MS; !signal.aborted;) {
    await delay(clock, pauseMs, signal).catch(() => {});
    if (signal.aborted) return;
    if (exits.present || !control.isOpen) {
      pauseMs = LOOK_MS;
      continue;
    }
    try {
      await exits.warm(signal);
    } catch (error) {
      if (signal.aborted) return;
      log.debug("There is still no exit", { error: messageOf(error) });
      pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
    }
  }
}
