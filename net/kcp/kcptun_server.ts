/**
 * The far end of kcptun, for its clients and ours: every stream leads to one target, or each says where by SOCKS5.
 *
 *   carrier → KCP → [Snappy] → smux → per stream: onward.dial(target) → bytes both ways
 *
 * Nobody is answered who does not have the key; who has it may dial. kcptun has no word for a dial that failed: the stream
 * just ends. Its clients close both directions when one ends, so what is left of a stream then is ended after a while.
 */

import { type Clock, deadline, delay } from "../../protocol/clock.ts";
import { CulvertError, dialFailureOf, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Counter, Metrics } from "../../protocol/metrics.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";
import { Fec, openFecCodes } from "../../protocol/packet_layer/fec.ts";
import {
  kcptunKcp,
  kcptunMux,
  type KcptunSettings,
  kcptunSettings,
  kcptunShards,
} from "../../protocol/packet_layer/kcptun_settings.ts";
import { kcptunKey } from "../../protocol/packet_layer/packet_keys.ts";
import { SnappyScratch } from "../../protocol/packet_layer/snappy_frames.ts";
import type { PacketSeal } from "../../protocol/packet_seal.ts";
import type { Random } from "../../protocol/random.ts";
import { formatTarget, type Path, type Stream, type Target } from "../../protocol/stream.ts";
import { BufferPool } from "../buffer_pool.ts";
import { closeQuietly } from "../close.ts";
import { CountedLink, type Traffic } from "../counted_link.ts";
import { Deadlines, sharedWait } from "../deadlines.ts";
import { MuxConnection, type MuxStream } from "../mux.ts";
import { acceptSocks5 } from "../socks_stream.ts";
import { splice, type SpliceOptions } from "../splice.ts";
import type { KcpLink } from "./kcp_link.ts";
import { KcpServer } from "./kcp_server.ts";
import { LinkSampler, type LinkStatus } from "./link_sampler.ts";
import { openPacketSeal } from "./packet_seal.ts";
import { SnappyLink } from "./snappy_link.ts";

export interface KcptunServerOptions extends Partial<KcptunSettings> {
  /** Not started; closed with the server. */
  readonly carrier: PacketCarrier;
  /** Where every stream leads; `socks5`: where it asks for. */
  readonly target: Target | "socks5";
  readonly onward: Path;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly limits?: KcptunServerLimits;
}

export interface KcptunServerLimits {
  /** Clients' tunnels at once; the one silent for longest makes room. Default 4096. */
  readonly maxTunnels?: number;
  /** Streams of a tunnel at once. Default 1024. */
  readonly maxStreams?: number;
  /** Default 30 s. */
  readonly dialTimeoutMs?: number;
  /** A stream with one half ended and nothing moving in the other. Default 30 s. */
  readonly halfClosedTimeoutMs?: number;
}

/** How often a server that drains is looked at. */
const DRAIN_LOOK_MS = 50;

/** Begins to serve. Throws a CulvertError for settings that cannot be. */
export async function serveKcptun(options: KcptunServerOptions): Promise<KcptunServer> {
  const settings = kcptunSettings("server", options);
  const { random, log } = options;
  const seal = await openPacketSeal({
    crypt: settings.crypt,
    key: await kcptunKey(settings.key),
    random,
    explain: (reason) => log.debug("No libcrypto", { reason }),
  });
  return new KcptunServer(options, settings, seal);
}

export class KcptunServer implements Disposable {
  readonly #options: KcptunServerOptions;
  readonly #settings: KcptunSettings;
  readonly #mux: ReturnType<typeof kcptunMux>;
  readonly #seal: PacketSeal & Disposable;
  readonly #server: KcpServer;
  readonly #codes = openFecCodes();
  readonly #scratch = new SnappyScratch();
  readonly #pool = new BufferPool();
  readonly #muxes = new Set<MuxConnection>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  readonly #halfClosed: Deadlines<() => void>;
  readonly #halfClosedWatch: NonNullable<SpliceOptions["halfClosed"]>;
  readonly #streams: Counter;
  readonly #sampler: LinkSampler;
  #isDraining = false;

  /** Use `serveKcptun`. Takes over the seal. */
  constructor(options: KcptunServerOptions, settings: KcptunSettings, seal: PacketSeal & Disposable) {
    this.#options = options;
    this.#settings = settings;
    this.#mux = kcptunMux(settings);
    this.#seal = seal;
    const { carrier, clock, limits, metrics } = options;
    const idleTimeoutMs = limits?.halfClosedTimeoutMs ?? 30_000;
    this.#halfClosed = new Deadlines(clock, idleTimeoutMs, (expire) => expire());
    this.#halfClosedWatch = { idleTimeoutMs, clock: sharedWait(this.#halfClosed) };
    this.#streams = metrics.counter("kcptun_server_streams_total", "Streams of clients, by outcome", ["outcome"]);
    this.#sampler = new LinkSampler("kcptun_server", { clock, metrics });
    const kcp = kcptunKcp(settings, seal);
    this.#server = new KcpServer({
      carrier,
      kcp,
      clock,
      seal,
      makeFec: () => new Fec({ codes: this.#codes, shards: kcptunShards(settings), mostBytes: kcp.mtuBytes + 8 }),
      onLink: (link) => this.#serve(link),
      onClose: (error) => this.#onClose(error),
      ...(limits?.maxTunnels !== undefined && { maxLinks: limits.maxTunnels }),
    });
  }

  /** How the links are that are up. */
  get status(): readonly LinkStatus[] {
    return this.#sampler.status;
  }

  /** Tunnels of clients that are open. */
  get size(): number {
    return this.#muxes.size;
  }

  /** Datagrams that did not open under the key, and genuine ones of no tunnel that is known. */
  get counters(): KcpServer["counters"] {
    return this.#server.counters;
  }

  get streamCount(): number {
    let count = 0;
    for (const mux of this.#muxes) count += mux.streamCount;
    return count;
  }

  /** Takes no more streams, waits until those there are have ended or the signal is aborted, then closes. */
  async shutdown(signal: AbortSignal): Promise<void> {
    this.#isDraining = true;
    const { clock } = this.#options;
    while (this.streamCount > 0 && !signal.aborted) await delay(clock, DRAIN_LOOK_MS, signal).catch(() => {});
    this.close();
    await this.closed();
  }

  close(): void {
    this.#stop.abort(new CulvertError("closed", "The kcptun server is closing"));
    this.#server.close();
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
    if (error !== undefined) {
      this.#options.log.warn("The kcptun server's carrier has ended", { error: messageOf(error) });
    }
    this.#stop.abort(new CulvertError("closed", "The kcptun server is closed"));
    this.#halfClosed[Symbol.dispose]();
    this.#sampler[Symbol.dispose]();
    this.#seal[Symbol.dispose]();
    this.#ended.resolve();
  }

  #serve(kcp: KcpLink): void {
    const { clock, limits } = this.#options;
    const traffic: Traffic = { rxBytes: 0, txBytes: 0 };
    this.#sampler.add(kcp, traffic, { client: "", place: () => formatTarget(kcp.place) });
    const counted = new CountedLink(kcp, traffic);
    const link = this.#settings.nocomp ? counted : new SnappyLink(counted, this.#scratch);
    const mux = new MuxConnection(link, clock, {
      ...this.#mux,
      role: "server",
      maxStreams: limits?.maxStreams ?? 1024,
    });
    mux.onStream = (stream) => this.#isDraining ? stream.close() : this.#spawn(this.#serveStream(stream));
    this.#muxes.add(mux);
    mux.start();
    this.#spawn(mux.ended.then(() => void this.#muxes.delete(mux)));
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    void task.finally(() => this.#tasks.delete(task));
  }

  async #serveStream(stream: MuxStream): Promise<void> {
    try {
      const far = await this.#dial(stream);
      this.#streams.add(1, { outcome: far ? "ok" : "refused" });
      if (!far) return closeQuietly(stream);
      await splice(stream, far, {
        pool: this.#pool,
        signal: this.#stop.signal,
        halfClosed: this.#halfClosedWatch,
      });
    } catch (error) {
      this.#streams.add(1, { outcome: dialFailureOf(error) });
      this.#options.log.debug("A stream led nowhere", { reason: dialFailureOf(error) });
      closeQuietly(stream);
    }
  }

  /** A client that goes away, or loses its tunnel, leaves no dial behind. */
  async #dial(stream: MuxStream): Promise<Stream | undefined> {
    const { clock, limits, target, onward } = this.#options;
    const gone = new AbortController();
    stream.onUnheard = () => gone.abort(new CulvertError("closed", "The client has gone"));
    using limit = deadline(clock, limits?.dialTimeoutMs ?? 30_000, "dial", gone.signal);
    if (target !== "socks5") return await onward.dial(target, { signal: limit.signal });
    const onAbort = () => stream.close();
    limit.signal.addEventListener("abort", onAbort, { once: true });
    const asked = await acceptSocks5(stream);
    limit.signal.removeEventListener("abort", onAbort);
    if (!asked) return undefined;
    let far: Stream;
    try {
      far = await onward.dial(asked.target, { signal: limit.signal });
    } catch (error) {
      await asked.refuse(error);
      throw error;
    }
    try {
      await asked.accept();
      return far;
    } catch (error) {
      closeQuietly(far);
      throw error;
    }
  }
}
