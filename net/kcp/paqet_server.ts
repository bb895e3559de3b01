/**
 * The far end of paqet (alpha.21), for its clients and ours: each stream says what it is for.
 *
 *   carrier → KCP → smux → per stream: header → tcp: onward.dial → bytes both ways
 *                                             → udp: onward.datagrams, a frame a datagram
 *                                             → flags: how packets to this client look     → ping: pong
 *
 * Nobody is answered who does not have the key; who has it may dial. paqet has no word for a dial that failed: the stream
 * just ends. Its clients close both directions when one ends; what is left of a stream then is ended after a while.
 */

import { type Clock, deadline, delay } from "../../protocol/clock.ts";
import { CulvertError, dialFailureOf, messageOf } from "../../protocol/errors.ts";
import type { FlaggedCarrier } from "../../protocol/carrier_options.ts";
import type { Log } from "../../protocol/log.ts";
import type { Counter, Metrics } from "../../protocol/metrics.ts";
import type { PacketCarrier, PacketPlace } from "../../protocol/packet_carrier.ts";
import { Fec, openFecCodes } from "../../protocol/packet_layer/fec.ts";
import { FEC_HEAD_BYTES } from "../../protocol/packet_layer/fec_head.ts";
import { paqetKey } from "../../protocol/packet_layer/packet_keys.ts";
import type { PacketSeal } from "../../protocol/packet_seal.ts";
import {
  PAQET_FEC_QUIET_MS,
  paqetKcp,
  paqetMux,
  type PaqetSettings,
  paqetSettings,
  paqetShards,
} from "../../protocol/paqet/paqet_settings.ts";
import type { Random } from "../../protocol/random.ts";
import { formatTarget, type Path, type Target } from "../../protocol/stream.ts";
import { BufferPool } from "../buffer_pool.ts";
import { closeQuietly } from "../close.ts";
import { CountedLink, type Traffic } from "../counted_link.ts";
import { Deadlines, sharedWait } from "../deadlines.ts";
import { MuxConnection, type MuxStream } from "../mux.ts";
import { splice, type SpliceOptions } from "../splice.ts";
import type { KcpLink } from "./kcp_link.ts";
import { KcpServer } from "./kcp_server.ts";
import { LinkSampler, type LinkStatus } from "./link_sampler.ts";
import { openPacketSeal } from "./packet_seal.ts";
import { readPaqetHeader, writePaqetHeader } from "./paqet_header.ts";
import { relayPaqetDatagrams } from "./paqet_relay.ts";

export interface PaqetServerOptions extends Partial<PaqetSettings> {
  /** Not started; closed with the server. One with `useFlags` follows the wishes of clients. */
  readonly carrier: PacketCarrier;
  readonly onward: Path;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly limits?: PaqetServerLimits;
}

export interface PaqetServerLimits {
  /** Clients' tunnels at once; the one silent for longest makes room. Default 4096. */
  readonly maxTunnels?: number;
  /** Streams of a tunnel at once. Default 1024. */
  readonly maxStreams?: number;
  /** From a stream's beginning to the end of its dial. Default 8 s, as paqet. */
  readonly dialTimeoutMs?: number;
  /** A stream with one half ended and nothing moving in the other. Default 30 s. */
  readonly halfClosedTimeoutMs?: number;
  /** A stream of datagrams with nothing moving. Default 60 s, as paqet's clients. */
  readonly datagramIdleMs?: number;
}

/** How often streams that should end are looked at. */
const DRAIN_LOOK_MS = 50;

/** What a dial is bounded by, and what says that it is over. */
interface Dialling {
  readonly signal: AbortSignal;
  done(): void;
}

/** Begins to serve. Throws a CulvertError for settings that cannot be. */
export async function servePaqet(options: PaqetServerOptions): Promise<PaqetServer> {
  const settings = paqetSettings("server", options);
  const { random, log } = options;
  const seal = await openPacketSeal({
    crypt: settings.block,
    key: await paqetKey(settings.key),
    random,
    explain: (reason) => log.debug("No libcrypto", { reason }),
  });
  return new PaqetServer(options, settings, seal);
}

export class PaqetServer implements Disposable {
  readonly #options: PaqetServerOptions;
  readonly #settings: PaqetSettings;
  readonly #seal: PacketSeal & Disposable;
  readonly #server: KcpServer;
  readonly #codes = openFecCodes();
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

  /** Use `servePaqet`. Takes over the seal. */
  constructor(options: PaqetServerOptions, settings: PaqetSettings, seal: PacketSeal & Disposable) {
    this.#options = options;
    this.#settings = settings;
    this.#seal = seal;
    const { carrier, clock, limits, metrics } = options;
    const idleTimeoutMs = limits?.halfClosedTimeoutMs ?? 30_000;
    this.#halfClosed = new Deadlines(clock, idleTimeoutMs, (expire) => expire());
    this.#halfClosedWatch = { idleTimeoutMs, clock: sharedWait(this.#halfClosed) };
    this.#streams = metrics.counter("paqet_server_streams_total", "Streams of clients, by outcome", ["outcome"]);
    this.#sampler = new LinkSampler("paqet_server", { clock, metrics });
    const kcp = paqetKcp(settings, seal);
    const shards = paqetShards(settings);
    this.#server = new KcpServer({
      carrier,
      kcp,
      clock,
      seal,
      makeFec: () =>
        new Fec({
          codes: this.#codes,
          shards,
          mostBytes: kcp.mtuBytes + FEC_HEAD_BYTES,
          quietMs: PAQET_FEC_QUIET_MS,
        }),
      onLink: (link, place) => this.#serve(link, place),
      onClose: (error) => this.#onClose(error),
      ...(limits?.maxTunnels !== undefined && { maxLinks: limits.maxTunnels }),
    });
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

  /** How the links are that are up. */
  get status(): readonly LinkStatus[] {
    return this.#sampler.status;
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
    this.#stop.abort(new CulvertError("closed", "The paqet server is closing"));
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
      this.#options.log.warn("The paqet server's carrier has ended", { error: messageOf(error) });
    }
    this.#stop.abort(new CulvertError("closed", "The paqet server is closed"));
    this.#halfClosed[Symbol.dispose]();
    this.#sampler[Symbol.dispose]();
    this.#seal[Symbol.dispose]();
    this.#ended.resolve();
  }

  #serve(kcp: KcpLink, place: PacketPlace): void {
    const { clock, limits } = this.#options;
    const traffic: Traffic = { rxBytes: 0, txBytes: 0 };
    this.#sampler.add(kcp, traffic, { client: "", place: () => formatTarget(kcp.place) });
    const mux = new MuxConnection(new CountedLink(kcp, traffic), clock, {
      ...paqetMux(this.#settings),
      role: "server",
      keepsFrames: true,
      maxStreams: limits?.maxStreams ?? 1024,
    });
    mux.onStream = (stream) => this.#isDraining ? stream.close() : this.#spawn(this.#serveStream(stream, place));
    this.#muxes.add(mux);
    mux.start();
    this.#spawn(mux.ended.then(() => {
      this.#muxes.delete(mux);
      this.#useFlags(place, []);
    }));
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    void task.finally(() => this.#tasks.delete(task));
  }

  #useFlags(place: PacketPlace, flags: readonly number[]): void {
    const { carrier } = this.#options;
    if ("useFlags" in carrier) (carrier as FlaggedCarrier).useFlags(place, flags);
  }

  /** Never rejects. */
  async #serveStream(stream: MuxStream, place: PacketPlace): Promise<void> {
    const { clock, limits, log } = this.#options;
    // A client that goes away, or loses its tunnel, leaves no dial behind; what it had said before is heard all the same.
    const gone = new AbortController();
    stream.onUnheard = () => gone.abort(new CulvertError("closed", "The client has gone"));
    using limit = deadline(clock, limits?.dialTimeoutMs ?? 8000, "dial", this.#stop.signal);
    const onAbort = () => stream.abort();
    limit.signal.addEventListener("abort", onAbort, { once: true });
    try {
      const header = await readPaqetHeader(stream);
      limit.signal.removeEventListener("abort", onAbort);
      const dial = { signal: AbortSignal.any([limit.signal, gone.signal]), done: () => limit[Symbol.dispose]() };
      if (header.kind === "ping") await writePaqetHeader(stream, { kind: "pong" });
      else if (header.kind === "flags") this.#useFlags(place, header.flags.filter((word) => word > 0 && word < 512));
      else if (header.kind === "tcp") await this.#connect(stream, header.target, dial);
      else if (header.kind === "udp") await this.#relay(stream, header.target, dial);
    } catch (error) {
      this.#streams.add(1, { outcome: dialFailureOf(error) });
      log.debug("A stream led nowhere", { reason: dialFailureOf(error) });
    } finally {
      closeQuietly(stream);
    }
  }

  async #connect(stream: MuxStream, target: Target, { signal, done }: Dialling): Promise<void> {
    const far = await this.#options.onward.dial(target, { signal });
    done();
    this.#streams.add(1, { outcome: "ok" });
    await splice(stream, far, {
      pool: this.#pool,
      signal: this.#stop.signal,
      halfClosed: this.#halfClosedWatch,
    });
  }

  async #relay(stream: MuxStream, target: Target, { signal, done }: Dialling): Promise<void> {
    const { onward, clock, limits } = this.#options;
    if (!onward.datagrams) throw new CulvertError("unsupported", "This way out carries no datagrams");
    using far = await onward.datagrams({ signal });
    done();
    this.#streams.add(1, { outcome: "datagrams" });
    const idleMs = limits?.datagramIdleMs ?? 60_000;
    await relayPaqetDatagrams(stream, far, { target, clock, idleMs, signal: this.#stop.signal });
  }
}
