/**
 * Connecting by QUIC to the loopback end of a bridge, with what is the same for all dialects: how soon silence is an end, and
 * what the errors mean.
 */

import { orAborted } from "../../protocol/abort.ts";
import { DialError, messageOf } from "../../protocol/errors.ts";

export interface QuicConnectOptions {
  readonly endpoint: Deno.QuicEndpoint;
  readonly port: number;
  readonly serverName: string;
  readonly alpn: readonly string[];
  /** PEM. Without it only what the host trusts is. */
  readonly anchor?: string;
  readonly keepAliveMs: number;
  readonly idleMs: number;
  readonly congestion?: "throughput" | "low-latency" | "default";
}

/** Rejects with a DialError, or the signal's reason. */
export async function connectByQuic(options: QuicConnectOptions, signal: AbortSignal): Promise<Deno.QuicConn> {
  signal.throwIfAborted();
  const { endpoint, port, serverName, alpn, anchor, keepAliveMs, idleMs, congestion } = options;
  const connecting = Promise.resolve(Deno.connectQuic({
    endpoint,
    hostname: "127.0.0.1",
    port,
    serverName,
    alpnProtocols: [...alpn],
    keepAliveInterval: keepAliveMs,
    maxIdleTimeout: idleMs,
    ...anchor !== undefined && { caCerts: [anchor] },
    ...congestion && { congestionControl: congestion },
  }));
  try {
    return await orAborted(connecting, signal);
  } catch (error) {
    connecting.then((late) => late.close(), () => {});
    signal.throwIfAborted();
    const isUnknown = messageOf(error).includes("invalid peer certificate");
    if (isUnknown) {
      throw new DialError("unauthorized", "The server has another certificate than it should", { cause: error });
    }
    throw new DialError("path_down", `The server does not answer by QUIC: ${messageOf(error)}`, { cause: error });
  }
}
