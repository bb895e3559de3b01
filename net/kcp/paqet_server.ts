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

import { type Clock, deadline } from "../../protocol/clock.ts";
import { CulvertError, dialFailureOf } from "../../protocol/errors.ts";
import type { FlaggedCarrier } from "../../protocol/carrier_options.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
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
import type { Path, Target } from "../../protocol/stream.ts";
import { closeQuietly } from "../close.ts";
import type { MuxStream } from "../mux.ts";
import { openPacketSeal } from "./packet_seal.ts";
import { readPaqetHeader, writePaqetHeader } from "./paqet_header.ts";
import { relayPaqetDatagrams } from "./paqet_relay.ts";
import { StreamServer, type StreamServerLimits } from "./stream_server.ts";

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

export interface PaqetServerLimits extends StreamServerLimits {
  /** From a stream's beginning to the end of its dial. Default 8 s, as paqet. */
  readonly dialTimeoutMs?: number;
  /** A stream of datagrams with nothing moving. Default 60 s, as paqet's clients. */
  readonly datagramIdleMs?: number;
}

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

export class PaqetServer extends StreamServer {
  readonly #options: PaqetServerOptions;

  /** Use `servePaqet`. Takes over the seal. */
  constructor(options: PaqetServerOptions, settings: PaqetSettings, seal: PacketSeal & Disposable) {
    const { carrier, clock, log, metrics, limits } = options;
    const kcp = paqetKcp(settings, seal);
    const fec = {
      codes: openFecCodes(),
      shards: paqetShards(settings),
      mostBytes: kcp.mtuBytes + FEC_HEAD_BYTES,
      quietMs: PAQET_FEC_QUIET_MS,
    };
    super({
      ...{ name: "paqet", carrier, clock, log, metrics, limits, seal, kcp },
      mux: { ...paqetMux(settings), keepsFrames: true },
      makeFec: () => new Fec(fec),
    });
    this.#options = options;
    this.begin();
  }

  protected override onGone(place: PacketPlace): void {
    this.#useFlags(place, []);
  }

  #useFlags(place: PacketPlace, flags: readonly number[]): void {
    const { carrier } = this.#options;
    if ("useFlags" in carrier) (carrier as FlaggedCarrier).useFlags(place, flags);
  }

  protected override async serveStream(stream: MuxStream, place: PacketPlace): Promise<void> {
    const { clock, limits, log } = this.#options;
    // A client that goes away, or loses its tunnel, leaves no dial behind; what it had said before is heard all the same.
    const gone = new AbortController();
    stream.onUnheard = () => gone.abort(new CulvertError("closed", "The client has gone"));
    using limit = deadline(clock, limits?.dialTimeoutMs ?? 8000, "dial", this.stopping);
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
      this.streams.add(1, { outcome: dialFailureOf(error) });
      log.debug("A stream led nowhere", { reason: dialFailureOf(error) });
    } finally {
      closeQuietly(stream);
    }
  }

  async #connect(stream: MuxStream, target: Target, { signal, done }: Dialling): Promise<void> {
    const far = await this.#options.onward.dial(target, { signal });
    done();
    this.streams.add(1, { outcome: "ok" });
    await this.join(stream, far);
  }

  async #relay(stream: MuxStream, target: Target, { signal, done }: Dialling): Promise<void> {
    const { onward, clock, limits } = this.#options;
    if (!onward.datagrams) throw new CulvertError("unsupported", "This way out carries no datagrams");
    using far = await onward.datagrams({ signal });
    done();
    this.streams.add(1, { outcome: "datagrams" });
    const idleMs = limits?.datagramIdleMs ?? 60_000;
    await relayPaqetDatagrams(stream, far, { target, clock, idleMs, signal: this.stopping });
  }
}
