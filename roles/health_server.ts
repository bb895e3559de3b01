/**
 * Serves `edge/health.ts` on the address of `--metrics-listen`. Loaded only when that is given, since Hono and
 * prom-client cost start-up time and memory.
 */

import { createHealth, type Readiness } from "../edge/health.ts";
import { createMetrics, type MetricsRegistry } from "../edge/metrics.ts";
import { CulvertError } from "../protocol/errors.ts";
import { formatTarget, type Target } from "../protocol/stream.ts";
import type { Host } from "./host.ts";

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

export function serveHealth(options: HealthServerOptions): HealthServer {
  const metrics = createMetrics({ process: options.host.processFigures });
  const app = createHealth({ metrics, ready: options.ready, version: options.version });
  const ending = new AbortController();
  const server = listen(options.listen, ending.signal, app.fetch);
  const { hostname, port } = server.addr;
  return {
    metrics,
    address: formatTarget({ host: hostname, port }),
    async [Symbol.asyncDispose]() {
      ending.abort();
      await server.finished;
    },
  };
}

function listen(
  at: Target,
  signal: AbortSignal,
  fetch: (request: Request) => Response | Promise<Response>,
): Deno.HttpServer<Deno.NetAddr> {
  try {
    const options = { hostname: at.host, port: at.port, signal, onListen() {} };
    return Deno.serve(options, (request) => fetch(request));
  } catch (error) {
    const why = error instanceof Deno.errors.AddrInUse ? "free" : "an address of this machine that may be used";
    throw new CulvertError(
      "cannot_listen",
      `Cannot serve metrics: --metrics-listen must be ${why}, got ${formatTarget(at)}`,
      { cause: error },
    );
  }
}
