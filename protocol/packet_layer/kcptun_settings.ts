/**
 * The settings of kcptun by its own names, with its own defaults (20210922, `kcptun-client -h`), and what they mean for the
 * layers: the two ends must agree on key, crypt, smuxver and nocomp, and have to be told so, as nothing is negotiated.
 */

import { BlockPool } from "../byte_queue.ts";
import { type KcpMode, type KcpModeName, kcpModes, type KcpOptions } from "../kcp/kcp_options.ts";
import { kcpMemory } from "../kcp/segment_blocks.ts";
import type { MuxOptions } from "../mux.ts";
import type { PacketSeal } from "../packet_seal.ts";
import type { CryptName } from "./crypt.ts";
import { DialectCheck } from "./dialect_check.ts";
import { checkFecShards, type FecShards } from "./fec_encoder.ts";
import { FEC_HEAD_BYTES } from "./fec_head.ts";

export interface KcptunSettings {
  /** The passphrase both ends know. */
  readonly key: string;
  readonly crypt: CryptName;
  readonly mode: KcpModeName;
  /** The longest datagram, 100 to 1500. */
  readonly mtu: number;
  /** In segments; what one end may have sent is the lesser of its own `sndwnd` and the other's `rcvwnd`. */
  readonly sndwnd: number;
  readonly rcvwnd: number;
  /** Either 0: no forward error correction of ours. */
  readonly datashard: number;
  readonly parityshard: number;
  /** No Snappy between mux and KCP. */
  readonly nocomp: boolean;
  /** Acknowledgements at once. */
  readonly acknodelay: boolean;
  /** Of the mode `manual`. */
  readonly nodelay: number;
  readonly interval: number;
  readonly resend: number;
  readonly nc: number;
  readonly smuxver: 1 | 2;
  /** Received bytes of all streams of a tunnel that wait for their readers. */
  readonly smuxbuf: number;
  /** The window of a stream, with smux version 2. */
  readonly streambuf: number;
  /** Seconds between signs of life. */
  readonly keepalive: number;
}

const common = {
  key: "it's a secrect",
  crypt: "aes",
  mode: "fast",
  mtu: 1350,
  datashard: 10,
  parityshard: 3,
  nocomp: false,
  acknodelay: false,
  nodelay: 0,
  interval: 50,
  resend: 0,
  nc: 0,
  smuxver: 1,
  smuxbuf: 4 * 1024 * 1024,
  streambuf: 2 * 1024 * 1024,
  keepalive: 10,
} as const;

/** What kcptun's client and server do when they are told nothing. */
export const kcptunDefaults: { readonly client: KcptunSettings; readonly server: KcptunSettings } = {
  client: { ...common, sndwnd: 128, rcvwnd: 512 },
  server: { ...common, sndwnd: 1024, rcvwnd: 1024 },
};

/** Of 64 KiB. */
const KEPT_MUX_BLOCKS = 64;

/** smux's own, which kcptun has no setting for. */
const KEEPALIVE_TIMEOUT_S = 30;

/** The settings with the defaults of that side. Throws a CulvertError for those that cannot be. */
export function kcptunSettings(side: "client" | "server", given: Partial<KcptunSettings> = {}): KcptunSettings {
  const settings = { ...kcptunDefaults[side], ...given };
  const check = new DialectCheck("kcptun");
  check.crypt("crypt", settings.crypt);
  check.common(settings);
  check.whole("datashard", settings.datashard, 0, 32);
  check.whole("parityshard", settings.parityshard, 0, 32);
  check.whole("smuxver", settings.smuxver, 1, 2);
  check.whole("smuxbuf", settings.smuxbuf, 64 * 1024, 2 ** 31 - 1);
  check.whole("streambuf", settings.streambuf, 4096, settings.smuxbuf);
  check.whole("keepalive", settings.keepalive, 1, KEEPALIVE_TIMEOUT_S - 1);
  const shards = kcptunShards(settings);
  if (shards) checkFecShards(shards);
  return settings;
}

/** The shards of what we send. */
export function kcptunShards({ datashard, parityshard }: KcptunSettings): FecShards | undefined {
  return datashard > 0 && parityshard > 0 ? { dataShards: datashard, parityShards: parityshard } : undefined;
}

/** How KCP is set by them, with memory that all links share that are made with it. */
export function kcptunKcp(settings: KcptunSettings, seal: PacketSeal): Omit<KcpOptions, "conv"> {
  const { mtu, sndwnd, rcvwnd } = settings;
  const headBytes = seal.headBytes + seal.tailBytes + (kcptunShards(settings) ? FEC_HEAD_BYTES : 0);
  const mtuBytes = mtu - headBytes;
  const memory = kcpMemory(mtuBytes);
  return { ...kcptunMode(settings), mtuBytes, sendWindow: sndwnd, receiveWindow: rcvwnd, memory };
}

/** How smux is set by them, with memory that all links share that are made with it. */
export function kcptunMux(settings: KcptunSettings): Omit<MuxOptions, "role"> {
  return {
    version: settings.smuxver,
    extensions: false,
    windowBytes: settings.streambuf,
    sessionBufferBytes: settings.smuxbuf,
    keepAliveIntervalMs: settings.keepalive * 1000,
    keepAliveTimeoutMs: KEEPALIVE_TIMEOUT_S * 1000,
    blockPool: new BlockPool(KEPT_MUX_BLOCKS),
  };
}

/** The modes' own word on delays does not count: kcptun never delays what is written, and has `acknodelay` apart. */
function kcptunMode(settings: KcptunSettings): KcpMode {
  const { mode, nodelay, interval, resend, nc, acknodelay } = settings;
  const delays = { writeDelay: false, ackNoDelay: acknodelay };
  if (mode !== "manual") return { ...kcpModes[mode], ...delays };
  return {
    noDelay: nodelay !== 0,
    intervalMs: interval,
    fastResend: resend,
    congestion: nc === 0 ? "kcp" : "none",
    ...delays,
  };
}
