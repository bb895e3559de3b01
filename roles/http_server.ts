/**
 * Serves a fetch handler over HTTP or HTTPS with limits on how long a client may dawdle and how many may be connected.
 *
 * `Deno.serve` waits for a request head without end, so a handful of idle connections could take every file descriptor;
 * `node:http` has deadlines. Requests and responses are converted by `@hono/node-server`.
 */

import { createAdaptorServer, type HttpBindings } from "@hono/node-server";
import type { Server } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import { CulvertError } from "../protocol/errors.ts";
import { formatTarget, type Target } from "../protocol/stream.ts";
import { whyNotListening } from "./listening.ts";

export interface HttpServerOptions {
  readonly listen: Target;
  /** What is being served and by which flag, for the message when the address cannot be had. */
  readonly what: string;
  readonly flag: string;
  readonly fetch: (request: Request, from: RequestOrigin) => Response | Promise<Response>;
  /** Certificate chain and key in PEM; plain HTTP without. They must fit together. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** In PEM: only whoever shows a TLS certificate that one of these has signed may connect. Needs `tls`. */
  readonly clientCa?: string | undefined;
  /** From connecting, or from the last response, to the end of a request's head. Default 10 s. */
  readonly headTimeoutMs?: number;
  /** The whole of a request. Default 60 s. */
  readonly requestTimeoutMs?: number;
  /** Default 1,024; more are closed as they come. */
  readonly maxConnections?: number;
}

export interface RequestOrigin {
  /** The IP address at the other end of the connection. */
  readonly remoteAddress: string | undefined;
}

/** Disposing it closes every connection at once. */
export interface HttpServer extends AsyncDisposable {
  /** Where it listens, as `host:port`. */
  readonly address: string;
  /** Serves connections that come from now on with another certificate. They must fit together. */
  renewTls(pair: { readonly cert: string; readonly key: string }): void;
  /** Takes no more connections and lets requests under way end, until `hardSignal` is aborted. */
  shutdown(hardSignal: AbortSignal): Promise<void>;
}

export async function serveHttp(options: HttpServerOptions): Promise<HttpServer> {
  const server = createServer(options);
  server.maxConnections = options.maxConnections ?? 1024;
  await listen(server, options);
  const { address, port } = server.address() as { address: string; port: number };
  let closed: Promise<void> | undefined;
  const close = () => closed ??= new Promise((resolve) => server.close(() => resolve()));
  return {
    address: formatTarget({ host: address, port }),
    renewTls: (pair) => (server as TlsServer).setSecureContext({ ...pair, ...mutual(options) }),
    async shutdown(hardSignal) {
      const ended = close();
      server.closeIdleConnections();
      const cut = () => server.closeAllConnections();
      if (hardSignal.aborted) cut();
      hardSignal.addEventListener("abort", cut, { once: true });
      await ended;
      hardSignal.removeEventListener("abort", cut);
    },
    async [Symbol.asyncDispose]() {
      const ended = close();
      server.closeAllConnections();
      await ended;
    },
  };
}

/** Asks for a certificate, and ends the connection of whoever has none that will do. */
function mutual({ clientCa }: HttpServerOptions) {
  return clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true };
}

function createServer(options: HttpServerOptions): Server {
  const { fetch, tls, headTimeoutMs = 10_000, requestTimeoutMs = 60_000 } = options;
  const limits = {
    headersTimeout: headTimeoutMs,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: headTimeoutMs,
    connectionsCheckingInterval: Math.min(headTimeoutMs, 1000),
  };
  return createAdaptorServer({
    fetch: (request, env) => fetch(request, { remoteAddress: (env as HttpBindings).incoming.socket.remoteAddress }),
    overrideGlobalObjects: false,
    ...(tls
      ? { createServer: createTlsServer, serverOptions: { ...limits, ...tls, ...mutual(options) } }
      : { serverOptions: limits }),
  }) as Server;
}

function listen(server: Server, options: HttpServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: Error) => {
      const why = whyNotListening(error);
      const where = `${options.flag} ${formatTarget(options.listen)}`;
      reject(new CulvertError("cannot_listen", `Cannot serve ${options.what} on ${where}: ${why}`, { cause: error }));
    });
    server.listen(options.listen.port, options.listen.host, () => resolve());
  });
}
