/** GFK over QUIC, the near end: connections through a bridge, from and to other ports each time. */

import type { Bridge } from "../../native/vtcp/bridge.ts";
import { orAborted } from "../../protocol/abort.ts";
import { CulvertError, DialError } from "../../protocol/errors.ts";
import type { Stream } from "../../protocol/stream.ts";
import type { GfkDialect } from "./gfk_dialect.ts";
import type { GfkOptions } from "./gfk_path.ts";
import { connectByQuic } from "./quic_connect.ts";
import { QuicPool } from "./quic_pool.ts";
import { QuicStream } from "./quic_stream.ts";
import type { StreamSource } from "./stream_source.ts";

/** What we call a server that nobody knows; for the flag by which Deno is told so. */
export const UNVERIFIED_NAME = "gfk.invalid";
export const GFK_GO_ALPN: readonly string[] = ["gfk"];
/** As the original of gfk-go has it, and what its NATs need. */
export const GFK_KEEP_ALIVE_MS = 4000;
export const GFK_GO_IDLE_MS = 8000;
/** The original never gives up, and never learns that a server is gone. */
export const GFK_PY_IDLE_MS = 30_000;
/** On one connection: what the libraries of both originals take by default is no less. */
export const GFK_STREAMS = 100;

export interface GfkParts extends GfkOptions {
  readonly farEnd: string;
}

export async function openGfkQuic(
  options: Omit<GfkParts, "dialect"> & { readonly dialect: GfkDialect },
): Promise<StreamSource> {
  const { dialect, carrier, certificate, farEnd, clock, random, log, metrics } = options;
  if (certificate === undefined) {
    throw new CulvertError(
      "bad_option",
      "Cannot speak GFK by QUIC: there must be the server's certificate, or `unverified`",
    );
  }
  const isPinned = certificate !== "unverified";
  if (!isPinned) log.warn("Nothing proves that this server is the one that is meant", { server: farEnd });
  const { openBridge } = await import("../../native/vtcp/bridge.ts");
  const endpoint = new Deno.QuicEndpoint({ hostname: "127.0.0.1", port: 0 });
  let bridge: Bridge;
  try {
    bridge = await openBridge({ side: "client", carrier, quicPort: endpoint.addr.port }, { log, onNews: () => {} });
  } catch (error) {
    endpoint.close();
    throw error;
  }
  /** Not there yet when it connects for the first time. */
  let made: QuicPool | undefined;
  const connect = async (signal: AbortSignal) => {
    // Others of these ports would be new places to the connections that are up.
    if (made && !made.isUp) await bridge.hop();
    const connection = await connectByQuic({
      endpoint,
      port: bridge.loopbackPort,
      serverName: isPinned ? certificate.serverName : UNVERIFIED_NAME,
      alpn: dialect.name === "gfk-go" ? GFK_GO_ALPN : [],
      ...isPinned && { anchor: certificate.pem },
      keepAliveMs: GFK_KEEP_ALIVE_MS,
      idleMs: dialect.name === "gfk-go" ? GFK_GO_IDLE_MS : GFK_PY_IDLE_MS,
    }, signal).catch((error) => {
      throw isPinned ? error : explained(error);
    });
    try {
      await sayHello(connection, dialect, signal);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  };
  const pool = made = new QuicPool({ connect, farEnd, streams: GFK_STREAMS, clock, random, log, metrics });
  bridge.ended.then((error) => {
    if (!error) return;
    log.error("The bridge of GFK has ended", { server: farEnd, error: error.message });
    pool.close();
    endpoint.close();
  });
  return {
    ended: bridge.ended,
    open: (signal) => pool.open(signal),
    close: () => pool.close(),
    async closed() {
      await pool.closed();
      endpoint.close();
      await bridge.close();
    },
  };
}

async function sayHello(connection: Deno.QuicConn, dialect: GfkDialect, signal: AbortSignal): Promise<void> {
  if (!dialect.hello) return;
  using stream: Stream = new QuicStream(await connection.createBidirectionalStream());
  await orAborted(dialect.hello(stream), signal);
}

function explained(error: unknown): unknown {
  if (!(error instanceof DialError) || error.code !== "unauthorized") return error;
  const flag = `--unsafely-ignore-certificate-errors=${UNVERIFIED_NAME}`;
  return new DialError("unauthorized", `The server's certificate is not known: give it, or start Deno with ${flag}`, {
    cause: error,
  });
}
