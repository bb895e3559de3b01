/**
 * Serves a fetch handler over HTTP with limits on how long a client may dawdle and how many may be connected.
 *
 * `Deno.serve` waits for a request head without end, so a handful of idle connections could take every file descriptor;
 * `node:http` has deadlines. Requests and responses are converted by `@hono/node-server`.
 */

import { createAdaptorServer } from "@hono/node-server";
import type { Server } from "node:http";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import { formatTarget, type Target } from "../protocol/stream.ts";

export interface HttpServerOptions {
  readonly listen: Target;
  /** What is being served and by which flag, for the message when the address cannot be had. */
  readonly what: string;
  readonly flag: string;
  readonly fetch: (request: Request) => Response | Promise<Response>;
  /** From connecting, or from the last response, to the end of a request's head. Default 10 s. */
  readonly headTimeoutMs?: number;
  /** The whole of a request. Default 60 s. */
  readonly requestTimeoutMs?: number;
  /** Default 1,024; more are closed as they come. */
  readonly maxConnections?: number;
}

export interface HttpServer extends AsyncDisposable {
  /** Where it listens, as `host:port`. */
  readonly address: string;
}

export async function serveHttp(options: HttpServerOptions): Promise<HttpServer> {
  const headTimeoutMs = options.headTimeoutMs ?? 10_000;
  const server = createAdaptorServer({
    fetch: options.fetch,
    overrideGlobalObjects: false,
    serverOptions: {
      headersTimeout: headTimeoutMs,
      requestTimeout: options.requestTimeoutMs ?? 60_000,
      keepAliveTimeout: headTimeoutMs,
      connectionsCheckingInterval: Math.min(headTimeoutMs, 1000),
    },
  }) as Server;
  server.maxConnections = options.maxConnections ?? 1024;
  await listen(server, options);
  const { address, port } = server.address() as { address: string; port: number };
  return {
    address: formatTarget({ host: address, port }),
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, options: HttpServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: Error & { code?: string }) => {
      const why = error.code === "EADDRINUSE" ? "another program has this port" : messageOf(error);
      const where = `${options.flag} ${formatTarget(options.listen)}`;
      reject(new CulvertError("cannot_listen", `Cannot serve ${options.what} on ${where}: ${why}`, { cause: error }));
    });
    server.listen(options.listen.port, options.listen.host, () => resolve());
  });
}
