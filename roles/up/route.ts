/**
 * Which way a stream takes now: `hello.culvert` is asked for through the proxy, on a connection of its own, and says.
 */

import { z } from "zod";
import { type Clock, deadline, delay } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";

const travelSchema = z.object({
  hops: z.array(z.object({ name: z.string(), at: z.string(), rttMs: z.number().optional() })),
});
export type Travel = z.infer<typeof travelSchema>;

export interface RouteOptions {
  /** Where the proxy is. */
  readonly proxy: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Between two tries. */
const RETRY_MS = 50;
/** A try that hangs is given up, and another made. */
const TRY_MS = 10_000;

/** The way, by one try. Rejects when there is none. */
export async function askRoute({ proxy, signal }: Pick<RouteOptions, "proxy" | "signal">): Promise<Travel> {
  using client = Deno.createHttpClient({ proxy: { url: `http://${proxy}` } });
  const headers = { accept: "application/json" };
  const response = await fetch("http://hello.culvert/", { client, headers, signal });
  const text = await response.text();
  if (response.ok) return travelSchema.parse(JSON.parse(text));
  throw new CulvertError("no_route", `The proxy says ${response.status}: ${text.trim()}`);
}

export interface FoundRoute {
  readonly travel: Travel;
  /** Since the first try began. */
  readonly tookMs: number;
  readonly failedTries: number;
}

/** The way, by as many tries as it takes; undefined when there has been none within the time. */
export async function findRoute(
  { clock, signal, ...options }: RouteOptions,
  withinMs: number,
): Promise<FoundRoute | undefined> {
  const startMs = clock.now();
  using limit = deadline(clock, withinMs, "find a route", signal);
  for (let failedTries = 0;; failedTries++) {
    try {
      using patience = deadline(clock, TRY_MS, "ask for the route", limit.signal);
      const travel = await askRoute({ ...options, signal: patience.signal });
      return { travel, tookMs: clock.now() - startMs, failedTries };
    } catch {
      signal.throwIfAborted();
      if (limit.signal.aborted) return undefined;
      await delay(clock, RETRY_MS, limit.signal).catch(() => {});
    }
  }
}
