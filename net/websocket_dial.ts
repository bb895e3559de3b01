/**
 * Opening a WebSocket from a socket of our own: TCP, TLS if asked for, upgrade. Whatever fails or is given up on the way
 * leaves nothing behind.
 */

import { DialError } from "../protocol/errors.ts";
import { formatIp, type IpAddress } from "../protocol/ip.ts";
import type { Random } from "../protocol/random.ts";
import { formatTarget, type Stream, type Target } from "../protocol/stream.ts";
import { closeQuietly } from "./close.ts";
import { openWebsocket } from "./websocket.ts";
import { connectTcp, type Socket, startTls, type TcpSocket } from "./runtime.ts";

/** Where a WebSocket is answered. */
export interface WebsocketAddress {
  readonly target: Target;
  readonly tls: boolean;
  /** The request target, beginning with "/". */
  readonly urlPath: string;
}

/** Gives the addresses to connect to, best first, once they may be connected to. */
export type Locate = (target: Target, signal: AbortSignal) => Promise<readonly IpAddress[]>;

export interface WebsocketDialOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly random: Random;
  /** PEM certificates to trust beside the usual ones. */
  readonly caCerts?: readonly string[] | undefined;
  /** Default: what the system finds. */
  readonly locate?: Locate | undefined;
  readonly signal: AbortSignal;
}

/** The socket, after the handshake, and the bytes that came beyond it. */
export interface DialledWebsocket {
  readonly stream: Stream;
  readonly first: Uint8Array;
}

export async function dialWebsocket(
  address: WebsocketAddress,
  options: WebsocketDialOptions,
): Promise<DialledWebsocket> {
  const { headers = {}, random, signal } = options;
  const { target, tls, urlPath } = address;
  const stream = await connectSocket(address, options);
  const onAbort = () => closeQuietly(stream);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted(); // between the socket and the listener
    const usual = target.port === (tls ? 443 : 80);
    const host = usual ? formatTarget(target).replace(/:\d+$/, "") : formatTarget(target);
    const first = await openWebsocket(stream, { host, path: urlPath, headers }, random);
    signal.throwIfAborted();
    return { stream, first };
  } catch (error) {
    closeQuietly(stream);
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

async function connectSocket(
  { target, tls }: WebsocketAddress,
  { caCerts, locate, signal }: WebsocketDialOptions,
): Promise<Stream> {
  const { host, port } = target;
  const conn = locate
    ? await connectToOne(await locate(target, signal), port, signal)
    : await connectTcp({ hostname: host, port, signal });
  conn.setNoDelay(true);
  if (!tls) return conn;
  const options = { hostname: host, alpnProtocols: ["http/1.1"], ...(caCerts && { caCerts: [...caCerts] }) };
  let current: Socket = conn;
  const onAbort = () => closeQuietly(current); // once TLS has begun, the TCP handle is an empty shell
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const secure = current = await startTls(conn, options);
    signal.throwIfAborted();
    await secure.handshake();
    return secure;
  } catch (error) {
    closeQuietly(current);
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** One after the other; rejects with what the last has met with. */
async function connectToOne(addresses: readonly IpAddress[], port: number, signal: AbortSignal): Promise<TcpSocket> {
  let failure: unknown = new DialError("unresolved", "Cannot connect: the host must have an address, and has none");
  for (const address of addresses) {
    try {
      return await connectTcp({ hostname: formatIp(address), port, signal });
    } catch (error) {
      signal.throwIfAborted();
      failure = error;
    }
  }
  throw failure;
}

/** Where the WebSocket of an http(s) or ws(s) URL is answered. */
export function websocketAddress(url: URL): WebsocketAddress {
  const tls = url.protocol === "https:" || url.protocol === "wss:";
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return { target: { host, port: Number(url.port || (tls ? 443 : 80)) }, tls, urlPath: url.pathname + url.search };
}
