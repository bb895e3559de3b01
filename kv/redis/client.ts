/**
 * How stores speak to Redis: through a client of ioredis that a role has opened and hands in. A command is never kept for
 * later: while Redis is away it fails at once, and one that is not answered within half a second fails then
 * (`store_unreachable`). The client reconnects by itself.
 */

import type { Redis, RedisOptions } from "ioredis";
import { type Clock, delay } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";

const COMMAND_TIMEOUT_MS = 500;
const CONNECT_TIMEOUT_MS = 2000;
/** How long the other side may take to close its half. */
const DISCONNECT_TIMEOUT_MS = 100;
const RECONNECT_MS = { step: 50, most: 1000 };

export type { Redis };

/** What every client of ours is opened with. Whoever opens one listens for its "error", which else is printed. */
export function redisOptions(connectionName: string): Omit<RedisOptions, "replyMapping"> {
  return {
    connectionName,
    commandTimeout: COMMAND_TIMEOUT_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (attempt) => Math.min(attempt * RECONNECT_MS.step, RECONNECT_MS.most),
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    lazyConnect: true,
  };
}

/** Closes a client; afterwards nothing of it is left, not even a timer. */
export async function closeRedis(redis: Redis, clock: Clock): Promise<void> {
  if (redis.status === "end") return;
  const ended = new AbortController();
  redis.once("end", () => ended.abort());
  redis.disconnect();
  // Between two attempts to connect no end is told of, and a timer for the last connection runs out.
  await delay(clock, 2 * DISCONNECT_TIMEOUT_MS, ended.signal).catch(() => {});
}

/** Does the deed, and throws a CulvertError if it fails. */
export async function inRedis<T>(deed: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    if (cause instanceof CulvertError) throw cause;
    // What Redis itself has answered begins with a word in capitals.
    const isAnswer = cause instanceof Error && cause.name === "ReplyError";
    const advice = isAnswer ? "" : " (Redis cannot be reached)";
    const code = isAnswer && !/^(LOADING|READONLY|MASTERDOWN)/.test(cause.message)
      ? "store_failed"
      : "store_unreachable";
    throw new CulvertError(code, `Cannot ${deed}: ${messageOf(cause)}${advice}`, { cause });
  }
}
