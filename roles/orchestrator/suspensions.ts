/**
 * Where several processes are one orchestrator: an account that was suspended at another of them is ended here too. (What
 * was done at this one is told of at once, by `Accounts.onChange`.) New connections ask for the account anyway, so what is
 * looked at here is mostly in memory.
 */

import type { Accounts } from "../../edge/orchestrator/access/accounts.ts";
import type { ClientSession } from "../../net/sharing/client_sessions.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { Log } from "../../protocol/log.ts";
import { repeat } from "../repeating.ts";

export interface SuspensionWatchDeps {
  readonly accounts: Pick<Accounts, "get">;
  /** What clients use now. */
  sessions(): Iterable<Pick<ClientSession, "userId" | "openStreams">>;
  expel(userId: string): void;
  readonly clock: Clock;
  readonly log: Log;
}

const LOOK_EVERY_MS = 10_000;

export function watchSuspensions({ accounts, sessions, expel, clock, log }: SuspensionWatchDeps): Disposable {
  return repeat({
    clock,
    everyMs: LOOK_EVERY_MS,
    async look(signal) {
      const users = new Set<string>();
      for (const { userId, openStreams } of sessions()) if (openStreams > 0) users.add(userId);
      for (const userId of users) {
        const user = await accounts.get(userId);
        if (signal.aborted) return;
        if (user?.status !== "active") expel(userId);
      }
    },
    onProblem: (error) => log.warn("Whether accounts were suspended elsewhere could not be looked at", { error }),
  });
}
