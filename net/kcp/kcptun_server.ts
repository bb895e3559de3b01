/**
 * The far end of kcptun, for its clients and ours: every stream leads to one target, or each says where by SOCKS5.
 *
 *   carrier → KCP → [Snappy] → smux → per stream: onward.dial(target) → bytes both ways
 *
 * Nobody is answered who does not have the key; who has it may dial. kcptun has no word for a dial that failed: the stream
 * just ends. Its clients close both directions when one ends, so what is left of a stream then is ended after a while.
 */

import { type Clock, deadline } from "../../protocol/clock.ts";
import { CulvertError, dialFailureOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";
import { Fec, openFecCodes } from "../../protocol/packet_layer/fec.ts";
import { FEC_HEAD_BYTES } from "../../protocol/packet_layer/fec_head.ts";
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
import type { Path, Stream, Target } from "../../protocol/stream.ts";
import { closeQuietly } from "../close.ts";
import type { Link } from "../link.ts";
import type { MuxStream } from "../mux.ts";
import { acceptSocks5 } from "../socks_stream.ts";
import { openPacketSeal } from "./packet_seal.ts";
import { SnappyLink } from "./snappy_link.ts";
import { StreamServer, type StreamServerLimits } from "./stream_server.ts";

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

export interface KcptunServerLimits extends StreamServerLimits {
  /** Default 30 s. */
  readonly dialTimeoutMs?: number;
}

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

export class KcptunServer extends StreamServer {
  readonly #options: KcptunServerOptions;

  /** Use `serveKcptun`. Takes over the seal. */
  constructor(options: KcptunServerOptions, settings: KcptunSettings, seal: PacketSeal & Disposable) {
    const { carrier, clock, log, metrics, limits } = options;
    const kcp = kcptunKcp(settings, seal);
    const codes = openFecCodes();
    const scratch = new SnappyScratch();
    super({
      ...{ name: "kcptun", carrier, clock, log, metrics, limits, seal, kcp, mux: kcptunMux(settings) },
      makeFec: () => new Fec({ codes, shards: kcptunShards(settings), mostBytes: kcp.mtuBytes + FEC_HEAD_BYTES }),
      ...(!settings.nocomp && { wrap: (link: Link) => new SnappyLink(link, scratch) }),
    });
    this.#options = options;
    this.begin();
  }

  protected override async serveStream(stream: MuxStream): Promise<void> {
    try {
      const far = await this.#dial(stream);
      this.streams.add(1, { outcome: far ? "ok" : "refused" });
      if (!far) return closeQuietly(stream);
      await this.join(stream, far);
    } catch (error) {
      this.streams.add(1, { outcome: dialFailureOf(error) });
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
