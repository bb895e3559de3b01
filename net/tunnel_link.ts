/**
 * The far end of links, however they came in: each stream on them asks for a target, and `onward` dials it.
 *
 *   link → mux → per stream: request → onward.dial → reply → bytes both ways
 *
 * Every dial has a deadline. What it does not do: choose where traffic may go, which is the policy of `onward`, or how
 * many links there may be, which is up to whoever brings them.
 */

import { type Clock, delay } from "../protocol/clock.ts";
import { CulvertError, DialError, dialFailureOf, messageOf } from "../protocol/errors.ts";
import type { Metrics } from "../protocol/metrics.ts";
import type { MuxOptions } from "../protocol/mux.ts";
import type { Parsed } from "../protocol/parse.ts";
import { type Datagrams, type Hop, type Path, type Stream, writeAll } from "../protocol/stream.ts";
import {
  encodeTunnelReply,
  MAX_TUNNEL_BODY_BYTES,
  parseTunnelRequest,
  type TunnelRequest,
} from "../protocol/tunnel.ts";
import { BufferPool } from "./buffer_pool.ts";
import { closeQuietly } from "./close.ts";
import { Deadlines, sharedWait } from "./deadlines.ts";
import { DialDeadlines, type PendingDial } from "./dial_deadlines.ts";
import type { Link } from "./link.ts";
import { MuxConnection } from "./mux.ts";
import { splice, type SpliceOptions } from "./splice.ts";
import { joinDatagrams, StreamDatagrams } from "./stream_datagrams.ts";

/** How much one link takes. */
export interface TunnelLinkLimits {
  /** From a stream's opening to the end of its dial. Default 30 s. */
  readonly dialTimeoutMs?: number;
  /** A stream with one half ended and nothing moving in the other. Default 5 min. */
  readonly halfClosedTimeoutMs?: number;
}

/** What a link of a tunnel is made of at its far end. */
export interface TunnelLinkOptions {
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where it counts what happens. */
  readonly metrics: Metrics;
  /** How much one link takes. */
  readonly limits?: TunnelLinkLimits;
  /**
   * Windows and patience of its streams. Default: what suits most links.
   *
   * @internal
   */
  readonly mux?: Omit<MuxOptions, "role" | "version" | "extensions">;
}

/** What the streams of a link get. */
export interface TunnelService {
  readonly onward: Path;
  /** The places that the link has passed, ending here; told in trails. */
  readonly hops: readonly Hop[];
  /** Makes HTTP requests for clients (`protocol/request_mode.ts`); without it they are refused. */
  readonly requests?: RequestService | undefined;
}

/** Makes the request that is asked for on a stream, and answers there. Rejects when the stream is to be cut. */
export interface RequestService {
  serve(stream: Stream, signal: AbortSignal): Promise<void>;
}

/** A stream whose far end may be known to be gone before anything is read or written. */
export interface ServedStream extends Stream {
  abort(): void;
  onUnheard?: (() => void) | undefined;
}

const OPEN = encodeTunnelReply({ message: "" });
/** How often links that drain are looked at. */
const DRAIN_LOOK_MS = 50;

/** Serves one link by itself: `using links = serveTunnelLink(link, { onward, hops }, options)`. */
export function serveTunnelLink(link: Link, service: TunnelService, options: TunnelLinkOptions): TunnelLinks {
  const links = new TunnelLinks(options);
  links.serve(link, service);
  return links;
}

/** Links that are served, with what they share. */
export class TunnelLinks implements Disposable {
  readonly #options: TunnelLinkOptions;
  readonly #streamPool = new BufferPool();
  readonly #links = new Set<MuxConnection>();
  readonly #tasks = new Set<Promise<void>>();
  /** From a stream's opening to the end of its dial. */
  readonly #dials: DialDeadlines;
  /** What is open on either side: closed with this. */
  readonly #open = new Set<Stream>();
  #closed = false;
  readonly #halfClosed: Deadlines<() => void>;
  /** Every stream is half closed for a moment, so these waits share a timer. */
  readonly #halfClosedWatch: NonNullable<SpliceOptions["halfClosed"]>;
  /** Open ones that no link of ours has brought. */
  #broughtStreams = 0;
  #draining = false;
  readonly #metrics;

  constructor(options: TunnelLinkOptions) {
    this.#options = options;
    const { clock, limits, metrics } = options;
    this.#dials = new DialDeadlines(clock, limits?.dialTimeoutMs ?? 30_000);
    const idleTimeoutMs = limits?.halfClosedTimeoutMs ?? 300_000;
    this.#halfClosed = new Deadlines(clock, idleTimeoutMs, (expire) => expire());
    this.#halfClosedWatch = { idleTimeoutMs, clock: sharedWait(this.#halfClosed) };
    this.#metrics = {
      links: metrics.gauge("tunnel_server_links_active", "Links open to this tunnel server"),
      streams: metrics.counter("tunnel_server_streams_total", "Streams asked for, by outcome", ["outcome"]),
      bytes: metrics.counter("tunnel_server_bytes_total", "Bytes carried, by direction", ["direction"]),
    };
  }

  /** Links that are open. */
  get size(): number {
    return this.#links.size;
  }

  get streamCount(): number {
    let count = this.#broughtStreams;
    for (const link of this.#links) count += link.streamCount;
    return count;
  }

  /** Begins to serve a link; undefined, and the link is closed, when no more are taken. */
  serve(link: Link, service: TunnelService): MuxConnection | undefined {
    if (this.#closed || this.#draining) return void link.close();
    const { clock, mux } = this.#options;
    const connection = new MuxConnection(link, clock, { ...mux, role: "server", extensions: true });
    connection.onStream = (stream) => this.#spawn(this.#serveStream(stream, service));
    this.#links.add(connection);
    this.#metrics.links.set(this.#links.size);
    connection.start();
    this.#spawn(connection.ended.then(() => {
      this.#links.delete(connection);
      this.#metrics.links.set(this.#links.size);
    }));
    return connection;
  }

  /** Serves one stream that somebody's link has brought. */
  serveStream(stream: ServedStream, service: TunnelService): void {
    this.#broughtStreams++;
    this.#spawn(this.#serveStream(stream, service).finally(() => this.#broughtStreams--));
  }

  /** Takes no more links or streams, and settles when every stream has ended or the signal is aborted. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#draining = true;
    const isBusy = () => this.#broughtStreams > 0 || [...this.#links].some((link) => !link.idle);
    while (isBusy() && !signal.aborted) {
      await delay(this.#options.clock, DRAIN_LOOK_MS, signal).catch(() => {});
    }
  }

  close(): void {
    this.#closed = true;
    for (const stream of this.#open) stream.abort ? stream.abort() : closeQuietly(stream);
    for (const link of this.#links) link.close();
    this.#dials[Symbol.dispose]();
    this.#halfClosed[Symbol.dispose]();
  }

  /** Settles when nothing runs any more. Call `close` first. */
  async closed(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }

  async #serveStream(stream: ServedStream, service: TunnelService): Promise<void> {
    const { onward, hops } = service;
    if (this.#closed) return stream.abort();
    if (this.#draining) return await this.#refuse(stream, new DialError("path_down", "The tunnel server is closing"));
    using pending = this.#dials.begin();
    // A client that goes away, or loses its link, leaves no dial behind.
    stream.onUnheard = () => pending.abort(new CulvertError("closed", "The client has gone"));
    const onAbort = () => stream.abort();
    pending.signal.addEventListener("abort", onAbort, { once: true });
    this.#open.add(stream);
    let far: Stream | undefined;
    try {
      const request = await readRequest(stream, this.#streamPool);
      pending.signal.removeEventListener("abort", onAbort);
      if (!request) return stream.abort();
      const trail = request.trail.length > 0 ? [...request.trail, ...hops] : undefined;
      const options = { signal: pending.signal, ...(trail && { trail }) };
      if (request.kind === "request") return await this.#serveRequest(stream, service, pending);
      if (request.kind === "datagrams") {
        using datagrams = await this.#openDatagrams(stream, onward, options);
        pending[Symbol.dispose]();
        return await joinDatagrams(new StreamDatagrams(stream), datagrams);
      }
      far = await onward.dial(request.target, options);
      this.#open.add(far);
      await this.#reply(stream, "ok");
      pending[Symbol.dispose]();
      // Every stream is unheard in the end, and nobody listens any more.
      stream.onUnheard = ignore;
      const { aToB, bToA } = await splice(stream, far, {
        pool: this.#streamPool,
        halfClosed: this.#halfClosedWatch,
      });
      this.#metrics.bytes.add(aToB, { direction: "out" });
      this.#metrics.bytes.add(bToA, { direction: "in" });
    } catch (error) {
      if (far) closeQuietly(far);
      await this.#refuse(stream, error);
    } finally {
      this.#open.delete(stream);
      if (far) this.#open.delete(far);
    }
  }

  /** From the reply on only the request's own deadlines count, and that the client is there. */
  async #serveRequest(
    stream: ServedStream,
    { requests }: TunnelService,
    pending: PendingDial,
  ): Promise<void> {
    if (!requests) throw new DialError("unsupported", "This way out makes no requests for others");
    await this.#reply(stream, "request");
    pending[Symbol.dispose]();
    try {
      await requests.serve(stream, pending.signal);
      stream.close();
    } catch {
      stream.abort(); // an answer that was cut must not look whole
    }
  }

  async #openDatagrams(
    stream: ServedStream,
    onward: Path,
    options: { signal: AbortSignal; trail?: readonly Hop[] },
  ): Promise<Datagrams> {
    if (!onward.datagrams) throw new DialError("unsupported", "This way out carries no datagrams");
    const far = await onward.datagrams(options);
    try {
      await this.#reply(stream, "datagrams");
    } catch (error) {
      far.close();
      throw error;
    }
    return far;
  }

  async #reply(stream: ServedStream, outcome: string): Promise<void> {
    this.#metrics.streams.add(1, { outcome });
    await writeAll(stream, OPEN);
  }

  async #refuse(stream: ServedStream, error: unknown): Promise<void> {
    const failure = dialFailureOf(error);
    this.#metrics.streams.add(1, { outcome: failure });
    try {
      await writeAll(stream, encodeTunnelReply({ failure, message: messageOf(error) }));
      stream.close();
    } catch {
      stream.abort(); // the client has gone: there is nobody to tell
    }
  }
}

function ignore(): void {}

/** Reads a request; undefined when it is malformed or the stream ended. Nothing follows a request before its reply. */
async function readRequest(stream: Stream, pool: BufferPool): Promise<TunnelRequest | undefined> {
  const buffer = pool.takeSmall(512);
  let held = buffer;
  let filled = 0;
  while (true) {
    const count = await stream.read(held.subarray(filled));
    if (count === null) return undefined;
    filled += count;
    const parsed: Parsed<TunnelRequest> = parseTunnelRequest(held.subarray(0, filled));
    if (parsed.status === "bad") return undefined;
    if (parsed.status === "done") {
      pool.giveSmall(buffer);
      return parsed.length === filled ? parsed.value : undefined;
    }
    if (filled < held.length) continue;
    held = new Uint8Array(MAX_TUNNEL_BODY_BYTES + 4);
    held.set(buffer);
  }
}
