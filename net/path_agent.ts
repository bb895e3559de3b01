/**
 * undici's connections over a Path: HTTP and HTTPS requests that leave wherever the Path leaves.
 *
 *   request → pool of its origin → path.dial(host, port) → (TLS by node:tls) → HTTP/1.1
 *
 * The Path resolves names and says where traffic may go. Connections are kept for a second, for whoever asks next.
 */

import { connect as connectTls, rootCertificates } from "node:tls";
import type { Duplex } from "node:stream";
import { Agent } from "undici";
import type { buildConnector } from "undici";
import { type Clock, deadline } from "../protocol/clock.ts";
import { parseIp } from "../protocol/ip.ts";
import type { Path } from "../protocol/stream.ts";
import { StreamDuplex } from "./stream_duplex.ts";

export interface PathAgentOptions {
  readonly path: Pick<Path, "dial">;
  readonly clock: Clock;
  /** PEM certificates to trust beside the usual ones. */
  readonly caCerts?: readonly string[] | undefined;
  /** To one origin at once. Default 64. */
  readonly maxConnectionsPerOrigin?: number;
  /** For dialling, with TLS. Default 30 s. */
  readonly connectTimeoutMs?: number;
}

/** Not more: for longer times undici keeps a clock of its own running. */
const KEPT_MS = 1000;

type Connected = Parameters<buildConnector.connector>[1];

export function openPathAgent(options: PathAgentOptions): Agent {
  return new Agent({
    connections: options.maxConnectionsPerOrigin ?? 64,
    pipelining: 1,
    keepAliveTimeout: KEPT_MS,
    keepAliveMaxTimeout: KEPT_MS,
    // Whoever asks sets the limits, by the Clock.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect(target: buildConnector.Options, done: Connected) {
      connect(target, options).then((socket) => done(null, socket as never), (error) => done(error, null));
    },
  });
}

async function connect(
  target: buildConnector.Options,
  options: PathAgentOptions,
): Promise<Duplex> {
  const { path, clock, connectTimeoutMs = 30_000 } = options;
  const { hostname, port, protocol } = target;
  const isSecure = protocol === "https:";
  const host = hostname.replace(/^\[|\]$/g, "");
  using limit = deadline(clock, connectTimeoutMs, `connect to ${host}`);
  const { signal } = limit;
  const plain = new StreamDuplex(await path.dial({ host, port: Number(port) || (isSecure ? 443 : 80) }, { signal }));
  return isSecure ? await secured(plain, target.servername || host, { ...options, signal }) : plain;
}

/** TLS over it; nothing is left of either when it fails. */
function secured(
  plain: Duplex,
  servername: string,
  { caCerts, signal }: Pick<PathAgentOptions, "caCerts"> & { readonly signal: AbortSignal },
): Promise<Duplex> {
  const secure = connectTls({
    socket: plain as never,
    // An address has no name to ask for (RFC 6066 §3); it is still checked against the certificate.
    ...(parseIp(servername) ? { host: servername } : { servername }),
    ALPNProtocols: ["http/1.1"],
    ...(caCerts && { ca: [...rootCertificates, ...caCerts] }),
  });
  return new Promise((resolve, reject) => {
    const onAbort = () => secure.destroy(signal.reason);
    const settle = () => {
      signal.removeEventListener("abort", onAbort);
      secure.off("error", onError);
    };
    const onError = (error: unknown) => {
      settle();
      secure.destroy();
      plain.destroy();
      reject(error);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    secure.once("error", onError);
    secure.once("secureConnect", () => {
      settle();
      resolve(secure);
    });
  });
}
