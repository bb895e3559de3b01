/**
 * Counters on Redis that can do without it for a while. That Redis is away is told by a metric and the log; it does not
 * make the orchestrator unready, since what it does goes on (`kv/sharing/degrading_counters.ts` says how).
 */

import { Redis } from "ioredis";
import { HealthWatch } from "../../../kv/health_watch.ts";
import { closeRedis, inRedis, redisOptions } from "../../../kv/redis/client.ts";
import { createRedisCounters } from "../../../kv/redis/counters.ts";
import type { Counters } from "../../../kv/sharing/counters.ts";
import { createDegradingCounters } from "../../../kv/sharing/degrading_counters.ts";
import { CulvertError, messageOf } from "../../../protocol/errors.ts";
import type { StoreContext } from "../stores.ts";

/** What the names of all keys begin with: orchestrators that share a Redis share their counters. */
const SPACE = "culvert";

export async function openRedisCounters(
  url: string,
  { clock, log, metrics }: Pick<StoreContext, "clock" | "log" | "metrics">,
): Promise<{ readonly counters: Counters } & AsyncDisposable> {
  const redis = new Redis(url, redisOptions("culvert-orchestrator"));
  const watch = new HealthWatch({
    ...{ clock, log, metrics, name: "redis" },
    help: { up: "Whether Redis can be used", failures: "Uses of Redis that failed" },
    says: {
      broken: "Redis cannot be used: each orchestrator counts and limits for itself",
      mended: "Redis can be used again: what was counted meanwhile is added",
    },
    isTrouble: () => true,
    probe: async () => {
      await inRedis("reach Redis", () => redis.ping());
      watch.told();
    },
  });
  // Each failed attempt to connect; what cannot be done without one is told of where it is tried.
  redis.on("error", () => {});
  await redis.connect().catch((error) => {
    watch.told(new CulvertError("store_unreachable", `Cannot reach Redis: ${messageOf(error)}`));
  });
  const stop = new AbortController();
  const watching = watch.run(stop.signal);
  return {
    counters: createDegradingCounters(createRedisCounters(redis, clock, { space: SPACE }), clock, {
      onOutcome: (error) => watch.told(error),
    }),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await watching;
      await closeRedis(redis, clock);
    },
  };
}
