/**
 * How many bytes each account and each node moves, by minute and by day, at all processes of an orchestrator together
 * (`kv/sharing/counters.ts`).
 *
 *   every 10 s: uses of nodes, what they carried since the last look ─▶ sums by minute and by day
 *
 * Nothing here is charged for: money is counted by tolls. What is lost with Redis or a process is a picture, not a book.
 */

import type { Counters } from "../../kv/sharing/counters.ts";
import type { ClientSession } from "../../net/sharing/client_sessions.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { Log } from "../../protocol/log.ts";
import { repeat } from "../repeating.ts";

export interface TrafficCountsDeps {
  readonly counters: Pick<Counters, "add" | "history">;
  /** What clients use now. */
  sessions(): Iterable<ClientSession>;
  readonly clock: Clock;
  readonly log: Log;
}

const LOOK_EVERY_MS = 10_000;
/** An hour of minutes and a month of days. */
export const MINUTES = { windowMs: 60_000, keep: 60 } as const;
export const DAYS = { windowMs: 86_400_000, keep: 31 } as const;

export class TrafficCounts implements Disposable {
  readonly #deps: TrafficCountsDeps;
  readonly #looking: Disposable;
  /** What was counted of each use so far. */
  #counted = new Map<string, number>();

  constructor(deps: TrafficCountsDeps) {
    this.#deps = deps;
    this.#looking = repeat({
      clock: deps.clock,
      everyMs: LOOK_EVERY_MS,
      look: () => this.look(),
      onProblem: (error) => deps.log.warn("What clients move could not be counted", { error }),
    });
  }

  async look(): Promise<void> {
    const { counters, sessions } = this.#deps;
    const counted = new Map<string, number>();
    const sums = new Map<string, number>();
    const add = (key: string, bytes: number) => sums.set(key, (sums.get(key) ?? 0) + bytes);
    for (const { sessionId, userId, nodeId, upBytes, downBytes } of sessions()) {
      const total = upBytes + downBytes;
      const bytes = total - (this.#counted.get(sessionId) ?? 0);
      counted.set(sessionId, total);
      if (bytes <= 0) continue;
      add(`user:${userId}`, bytes);
      add(`node:${nodeId}`, bytes);
      add("all", bytes);
    }
    this.#counted = counted;
    for (const [key, bytes] of sums) {
      await counters.add(`bytes/minute/${key}`, bytes, MINUTES);
      await counters.add(`bytes/day/${key}`, bytes, DAYS);
    }
  }

  /** Bytes of all clients by minute, the oldest first, the present one last. */
  async bytesByMinute(): Promise<number[]> {
    return await this.#deps.counters.history("bytes/minute/all", MINUTES);
  }

  [Symbol.dispose](): void {
    this.#looking[Symbol.dispose]();
  }
}
