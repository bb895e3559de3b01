/**
 * A tunnel by WebSocket, by its URL: how its links are made. What they carry is `tunnel_path.ts`.
 *
 *   tunnel+ws://host:port/path      tunnel+wss://token@host/path?links=4
 */

import type { Clock } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import type { Log } from "../protocol/log.ts";
import type { Metrics } from "../protocol/metrics.ts";
import type { MuxOptions } from "../protocol/mux.ts";
import type { Random } from "../protocol/random.ts";
import { formatTarget } from "../protocol/stream.ts";
import { isTunnelToken } from "../protocol/tunnel.ts";
import { BufferPool } from "./buffer_pool.ts";
import { MAX_LINKS, TunnelPath } from "./tunnel_path.ts";
import { WebsocketLink } from "./websocket.ts";
import { dialWebsocket, type WebsocketAddress } from "./websocket_dial.ts";

/** What the near end of a tunnel is made of. */
export interface TunnelClientOptions {
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where chance comes from. */
  readonly random: Random;
  /** Where it writes what happens. */
  readonly log: Log;
  /** Where it counts what happens. */
  readonly metrics: Metrics;
  /** What the server wants to hear. Default: the user part of the URL. */
  readonly token?: string;
  /** Links kept up. Default: `links` of the URL, or 2. */
  readonly links?: number;
  /** PEM certificates to trust beside the usual ones. */
  readonly caCerts?: string[];
  /** TCP, TLS, upgrade. Default 10 s. */
  readonly connectTimeoutMs?: number;
  /**
   * Windows and patience of its streams. Default: what suits most links.
   *
   * @internal
   */
  readonly mux?: Omit<MuxOptions, "role" | "version" | "extensions">;
}

/** Where a tunnel leads, as its URL says it. */
export interface TunnelAddress extends WebsocketAddress {
  readonly token: string | undefined;
  readonly links: number | undefined;
}

/** Reads a tunnel URL. Throws a CulvertError `bad_url` that says what is wrong. */
export function parseTunnelUrl(text: string): TunnelAddress {
  const fail = (rule: string) => new CulvertError("bad_url", `Cannot open a tunnel: the URL ${rule}`);
  const scheme = /^tunnel\+(wss?):\/\//.exec(text)?.[1];
  if (!scheme) throw fail('must begin with "tunnel+ws://" or "tunnel+wss://"');
  let url: URL;
  try {
    url = new URL(`${scheme === "wss" ? "https" : "http"}://${text.slice(text.indexOf("://") + 3)}`);
  } catch {
    throw fail("must look like tunnel+wss://token@host:port/path");
  }
  const tls = scheme === "wss";
  const links = url.searchParams.get("links");
  if (links !== null && !(/^\d{1,2}$/.test(links) && Number(links) >= 1 && Number(links) <= MAX_LINKS)) {
    throw fail(`must have links between 1 and ${MAX_LINKS}, got "${links}"`);
  }
  if (links !== null) url.searchParams.delete("links");
  const token = decodedOr(url.username || url.password, () => fail("must have a token that can be percent-decoded"));
  return {
    target: { host: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port || (tls ? 443 : 80)) },
    tls,
    urlPath: url.pathname + url.search,
    token: token === "" ? undefined : token,
    links: links === null ? undefined : Number(links),
  };
}

function decodedOr(text: string, error: () => Error): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw error();
  }
}

/** Opens a tunnel; it connects in the background, so that a server which is down now may come up later. */
export function openTunnel(url: string, options: TunnelClientOptions): TunnelPath {
  const address = parseTunnelUrl(url);
  const token = options.token ?? address.token;
  if (token !== undefined && !isTunnelToken(token)) {
    throw new CulvertError("bad_option", "Cannot open a tunnel: the token must be printable ASCII without spaces");
  }
  const pool = new BufferPool({ bufferBytes: 256 * 1024 });
  const at = `${address.tls ? "wss" : "ws"}://${formatTarget(address.target)}`;
  return new TunnelPath({
    ...options,
    links: options.links ?? address.links ?? 2,
    farEnd: at,
    hop: (rttMs) => ({
      name: "tunnel client",
      at,
      ...(rttMs !== undefined && { rttMs }),
      ...(address.tls && { seal: "TLS" }),
    }),
    connect: async (signal) => {
      const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
      const { random, caCerts } = options;
      const { stream, first } = await dialWebsocket(address, { headers, random, caCerts, signal });
      return new WebsocketLink(stream, pool, { first, random });
    },
  });
}
