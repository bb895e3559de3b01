/**
 * What the far ends of kcptun and of paqet have in common: clients' tunnels (KCP, smux) over one carrier, their streams, and
 * an end that waits for them. What a stream is for, each dialect says itself.
 *
 *   carrier → KcpServer → [wrap] → smux → serveStream
 */

import { type Clock, delay } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { KcpOptions } from "../../protocol/kcp/kcp_options.ts";
import type { Log } from "../../protocol/log.ts";
import type { Counter, Metrics } from "../../protocol/metrics.ts";
import type { MuxOptions } from "../../protocol/mux.ts";
import type { PacketCarrier, PacketPlace } from "../../protocol/packet_carrier.ts";
import type { PacketSeal } from "../../protocol/packet_seal.ts";
import { formatTarget, type Stream } from "../../protocol/stream.ts";
import { BufferPool } from "../buffer_pool.ts";
import { CountedLink, type Traffic } from "../counted_link.ts";
import { Deadlines, sharedWait } from "../deadlines.ts";
import type { Link } from "../link.ts";
import { MuxConnection, type MuxStream } from "../mux.ts";
import { splice, type SpliceOptions } from "../splice.ts";
import type { KcpLink, PacketFec } from "./kcp_link.ts";
import { KcpServer } from "./kcp_server.ts";
import { LinkSampler, type LinkStatus } from "./link_sampler.ts";

export interface StreamServerLimits {
  /** Clients' tunnels at once; the one silent for longest makes room. Default 4096. */
  readonly maxTunnels?: number;
  /** Streams of a tunnel at once. Default 1024. */
  readonly maxStreams?: number;
  /** A stream with one half ended and nothing moving in the other. Default 30 s. */
  readonly halfClosedTimeoutMs?: number;
}

export interface StreamServerParts {
  /** In messages and metrics. */
  readonly name: "kcptun" | "paqet";
  /** Not started; closed with the server. */
  readonly carrier: PacketCarrier;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly limits?: StreamServerLimits | undefined;
  /** Taken over. */
  readonly seal: PacketSeal & Disposable;
  readonly kcp: Omit<KcpOptions, "conv">;
  readonly mux: Omit<MuxOptions, "role">;
  makeFec(): PacketFec;
  /** Puts what belongs there between KCP and the mux. */
  wrap?(link: Link): Link;
}

/** How often streams that should end are looked at. */
const DRAIN_LOOK_MS = 50;

export abstract class StreamServer implements Disposable {
  /** Aborted when the server closes. */
  protected readonly stopping: AbortSignal;
  /** Streams of clients, by outcome. */
  protected readonly streams: Counter;
  readonly #parts: StreamServerParts;
  readonly #pool = new BufferPool();
  readonly #muxes = new Set<MuxConnection>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  readonly #halfClosed: Deadlines<() => void>;
  readonly #halfClosedWatch: NonNullable<SpliceOptions["halfClosed"]>;
  readonly #sampler: LinkSampler;
  #server: KcpServer | undefined;
  #isDraining = false;

  constructor(parts: StreamServerParts) {
    const { name, clock, limits, metrics } = parts;
    this.#parts = parts;
    this.stopping = this.#stop.signal;
    const idleTimeoutMs = limits?.halfClosedTimeoutMs ?? 30_000;
    this.#halfClosed = new Deadlines(clock, idleTimeoutMs, (expire) => expire());
    this.#halfClosedWatch = { idleTimeoutMs, clock: sharedWait(this.#halfClosed) };
    this.streams = metrics.counter(`${name}_server_streams_total`, "Streams of clients, by outcome", ["outcome"]);
    this.#sampler = new LinkSampler(`${name}_server`, { clock, metrics });
  }

  /** Serves a stream of the client at that place to its end. Never rejects. */
  protected abstract serveStream(stream: MuxStream, place: PacketPlace): Promise<void>;

  /** The tunnel of the client at that place has ended. */
  protected onGone(_place: PacketPlace): void {}

  /** Begins to serve: the last thing that a constructor does, as streams may come at once. */
  protected begin(): void {
    const { carrier, clock, seal, kcp, limits } = this.#parts;
    this.#server = new KcpServer({
      ...{ carrier, clock, seal, kcp },
      makeFec: () => this.#parts.makeFec(),
      onLink: (link, place) => this.#serve(link, place),
      onClose: (error) => this.#onClose(error),
      ...(limits?.maxTunnels !== undefined && { maxLinks: limits.maxTunnels }),
    });
  }

  /** Passes bytes both ways until both have ended. */
  protected async join(stream: MuxStream, far: Stream): Promise<void> {
    await splice(stream, far, { pool: this.#pool, signal: this.stopping, halfClosed: this.#halfClosedWatch });
  }

  /** Tunnels of clients that are open. */
  get size(): number {
    return this.#muxes.size;
  }

  /** Datagrams that did not open under the key, and genuine ones of no tunnel that is known. */
  get counters(): KcpServer["counters"] {
    return this.#server!.counters;
  }

  get streamCount(): number {
    let count = 0;
    for (const mux of this.#muxes) count += mux.streamCount;
    return count;
  }

  /** How the links are that are up. */
  get status(): readonly LinkStatus[] {
    return this.#sampler.status;
  }

  /** Takes no more streams, waits until those there are have ended or the signal is aborted, then closes. */
  async shutdown(signal: AbortSignal): Promise<void> {
    this.#isDraining = true;
    const { clock } = this.#parts;
    while (this.streamCount > 0 && !signal.aborted) await delay(clock, DRAIN_LOOK_MS, signal).catch(() => {});
    this.close();
    await this.closed();
  }

  close(): void {
    this.#stop.abort(new CulvertError("closed", `The ${this.#parts.name} server is closing`));
    this.#server!.close();
  }

  /** Settles when the carrier is closed and nothing runs any more. */
  async closed(): Promise<void> {
    await this.#ended.promise;
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #onClose(error: unknown): void {
    const { name, log, seal } = this.#parts;
    if (error !== undefined) log.warn(`The ${name} server's carrier has ended`, { error: messageOf(error) });
    this.#stop.abort(new CulvertError("closed", `The ${name} server is closed`));
    this.#halfClosed[Symbol.dispose]();
    this.#sampler[Symbol.dispose]();
    seal[Symbol.dispose]();
    this.#ended.resolve();
  }

  #serve(kcp: KcpLink, place: PacketPlace): void {
    const { clock, limits } = this.#parts;
    const traffic: Traffic = { rxBytes: 0, txBytes: 0 };
    this.#sampler.add(kcp, traffic, { client: "", place: () => formatTarget(kcp.place) });
    const link = new CountedLink(kcp, traffic);
    const mux = new MuxConnection(this.#parts.wrap?.(link) ?? link, clock, {
      ...this.#parts.mux,
      role: "server",
      maxStreams: limits?.maxStreams ?? 1024,
    });
    mux.onStream = (stream) => this.#isDraining ? stream.close() : this.#spawn(this.serveStream(stream, place));
    this.#muxes.add(mux);
    mux.start();
    this.#spawn(mux.ended.then(() => {
      this.#muxes.delete(mux);
      this.onGone(place);
    }));
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    void task.finally(() => this.#tasks.delete(task));
  }
}
