/**
 * The near end of a tunnel: a Path that dials at the far end of links, whatever they are made of.
 *
 *   dial → a link with few streams → mux stream → request → reply → bytes both ways
 *
 * It keeps several links up, each reconnecting by itself with backoff, and opens each stream on the link with the fewest.
 * A dial that finds no link waits for one that is being made; if the last attempt has failed, the dial makes one more
 * happen at once and fails with that attempt's reason. Streams do not move between links: a lost link fails its own.
 */

import { orAborted } from "../protocol/abort.ts";
import { CulvertError, DialError, messageOf } from "../protocol/errors.ts";
import type { Datagrams, DialOptions, Hop, Path, Stream, Target } from "../protocol/stream.ts";
import { formatTarget, writeAll } from "../protocol/stream.ts";
import { encodeTunnelRequest, type TunnelRequest } from "../protocol/tunnel.ts";
import type { Link } from "./link.ts";
import { LinkKeeper, type LinkKeeperOptions } from "./link_keeper.ts";
import type { MuxConnection, MuxStream } from "./mux.ts";
import { readReply } from "./read_frame.ts";
import { StreamDatagrams } from "./stream_datagrams.ts";

export interface TunnelPathOptions extends LinkKeeperOptions {
  /** Links kept up. */
  readonly links: number;
  /** What this end is called in trails; given the round trip to the far end, when it is known, and the link. */
  hop(rttMs: number | undefined, link: Link): Hop;
}

const WORDS = { datagrams: "a datagram socket", request: "for a request" } as const;

/** More links than this help nobody. */
export const MAX_LINKS = 64;

/** A Path over links that are kept up, each with many streams within. */
export class TunnelPath implements Path {
  readonly #hop: TunnelPathOptions["hop"];
  readonly #links: readonly LinkKeeper[];
  #closed = false;

  /**
   * Made by `openTunnel`.
   *
   * @internal
   */
  constructor(options: TunnelPathOptions) {
    const { links: count } = options;
    if (!Number.isInteger(count) || count < 1 || count > MAX_LINKS) {
      throw new CulvertError("bad_option", `Cannot open a tunnel: links must be 1 to ${MAX_LINKS}, got ${count}`);
    }
    this.#hop = options.hop;
    this.#links = Array.from({ length: count }, () => new LinkKeeper(options));
  }

  /** Links that are up. */
  get linkCount(): number {
    return this.#links.filter((link) => link.connection && !link.connection.closed).length;
  }

  /** Streams open through it. */
  get streamCount(): number {
    return this.#links.reduce((sum, { connection }) => sum + (connection?.streamCount ?? 0), 0);
  }

  /** No stream is open, and what the last ones wrote has left. */
  get idle(): boolean {
    return this.#links.every(({ connection }) => connection?.idle ?? true);
  }

  /** The round trip to the far end, when a link is up and has measured it. */
  get rttMs(): number | undefined {
    return this.#leastBusy()?.connection?.rttMs;
  }

  dial(target: Target, options: DialOptions = {}): Promise<Stream> {
    return this.#open({ kind: "stream", target, trail: [] }, options);
  }

  async datagrams(options: DialOptions = {}): Promise<Datagrams> {
    return new StreamDatagrams(await this.#open({ kind: "datagrams", trail: [] }, options));
  }

  /** A stream on which the far end makes an HTTP request (`protocol/request_mode.ts`). */
  request(options: DialOptions = {}): Promise<Stream> {
    return this.#open({ kind: "request", trail: [] }, options);
  }

  /** Settles when a link is up and the far end has been heard on it. Rejects with a DialError, or the signal's reason. */
  async ready(signal?: AbortSignal): Promise<void> {
    const connection = await this.#connection(signal);
    await orAborted(Promise.race([connection.heard, connection.ended]), signal);
    if (connection.closed) throw new DialError("path_down", "The link was lost before its far end was heard");
  }

  close(): void {
    this.#closed = true;
    for (const link of this.#links) link.close();
  }

  /** Settles when every link is closed. Call `close` first. */
  async closed(): Promise<void> {
    await Promise.all(this.#links.map((link) => link.done));
  }

  /** The same as `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  async #open(request: TunnelRequest, options: DialOptions): Promise<MuxStream> {
    options.signal?.throwIfAborted();
    const connection = await this.#connection(options.signal);
    options.signal?.throwIfAborted();
    const trail = options.trail && [...options.trail, this.#hop(connection.rttMs, connection.link)];
    return openTunnelStream(connection, { ...request, trail: trail ?? [] }, options.signal);
  }

  async #connection(signal?: AbortSignal): Promise<MuxConnection> {
    if (this.#closed) throw new DialError("path_down", "Cannot dial: the tunnel is closed");
    const ready = this.#leastBusy()?.connection;
    if (ready) return ready;
    const attempts = this.#links.map((link) => link.attempt());
    try {
      return await orAborted(Promise.any(attempts), signal);
    } catch (error) {
      signal?.throwIfAborted();
      const first = (error as AggregateError).errors[0];
      const told = first instanceof DialError && (first.code === "busy" || first.code === "unauthorized");
      throw new DialError(told ? first.code : "path_down", messageOf(first), { cause: first });
    }
  }

  #leastBusy(): LinkKeeper | undefined {
    let best: LinkKeeper | undefined;
    for (const link of this.#links) {
      if (!link.connection || link.connection.closed) continue;
      if (!best || link.connection.streamCount < best.connection!.streamCount) best = link;
    }
    return best;
  }
}

/** Opens a stream on a link whose far end serves tunnels, and has it dialled there. Rejects with a DialError. */
export async function openTunnelStream(
  connection: MuxConnection,
  request: TunnelRequest,
  signal?: AbortSignal,
): Promise<MuxStream> {
  const bytes = encodedRequest(request);
  const stream = openStream(connection);
  await askTunnel(stream, { request, bytes }, signal);
  return stream;
}

/** Throws a DialError when the host is one that no request can carry. */
export function encodedRequest(request: TunnelRequest): Uint8Array {
  const bytes = encodeTunnelRequest(request);
  if (!bytes) throw new DialError("unresolved", "Cannot dial: the host name must be 1 to 255 bytes");
  return bytes;
}

/** Asks on a new stream, whose far end serves tunnels; when that fails the stream is gone. Rejects with a DialError. */
export async function askTunnel(
  stream: Stream,
  { request, bytes }: { readonly request: TunnelRequest; readonly bytes: Uint8Array },
  signal?: AbortSignal,
): Promise<void> {
  const abort = () => stream.abort ? stream.abort() : stream.close();
  signal?.addEventListener("abort", abort, { once: true });
  try {
    await writeAll(stream, bytes);
    await readReply(stream, request.kind === "stream" ? formatTarget(request.target) : WORDS[request.kind]);
  } catch (error) {
    abort();
    signal?.throwIfAborted();
    if (error instanceof DialError) throw error;
    throw new DialError("path_down", `The tunnel was lost while it dialled: ${messageOf(error)}`, { cause: error });
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

function openStream(connection: MuxConnection): MuxStream {
  try {
    return connection.open();
  } catch (error) {
    if (error instanceof DialError) throw error;
    throw new DialError("path_down", messageOf(error), { cause: error });
  }
}
