/** What a dashboard is made of, and what it gives to whoever serves it. */

import type { Clock } from "../../protocol/clock.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Random } from "../../protocol/random.ts";
import type { NetworkSource } from "./inventory.ts";
import type { TokenGuard } from "./token_guard.ts";

export interface DashboardDeps {
  readonly source: NetworkSource;
  /** Of the administrators' token: whoever has that may log in. */
  readonly guard: TokenGuard;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
  readonly metrics?: Metrics;
  /**
   * Names under which it is served, without ports. IP addresses and `localhost` are always right; any other name is refused,
   * because a stranger's name can be made to lead here.
   */
  readonly hosts?: readonly string[];
}

/** What whoever serves the app tells it of a request. */
export interface DashboardOrigin {
  /** The IP address it came from; without one, wrong tokens are limited in all and not by address. */
  readonly remoteAddress?: string | undefined;
}

/** Disposing it says `bye` to whoever watches, and ends their streams. */
export interface DashboardApp extends Disposable {
  /** What it answers to, as Hono lists it. */
  readonly routes: readonly { readonly method: string; readonly path: string }[];
  /** Everything but `/v1`, which is the administrators' API where there is one. */
  fetch(request: Request, origin?: DashboardOrigin): Promise<Response>;
}
