/**
 * Serves `edge/health.ts` on the address of `--metrics-listen`. Loaded only when that is given, since Hono and
 * prom-client cost start-up time and memory.
 */

import { createHealth, type Readiness } from "../edge/health.ts";
import { createMetrics, type MetricsRegistry } from "../edge/metrics.ts";
import type { Target } from "../protocol/stream.ts";
import type { Host } from "./host.ts";
import { serveHttp } from "./http_server.ts";

export interface HealthServer extends AsyncDisposable {
  readonly metrics: MetricsRegistry;
  /** Where it listens, as `host:port`. */
  readonly address: string;
}

export interface HealthServerOptions {
  readonly listen: Target;
  readonly host: Pick<Host, "processFigures">;
  readonly ready: () => Readiness;
  readonly version: string;
}

export async function serveHealth(options: HealthServerOptions): Promise<HealthServer> {
  const metrics = createMetrics({ process: options.host.processFigures });
  const app = createHealth({ metrics, ready: options.ready, version: options.version });
  const server = await serveHttp({
    listen: options.listen,
    what: "metrics",
    flag: "--metrics-listen",
    fetch: (request) => app.fetch(request),
  });
  return { metrics, address: server.address, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}
