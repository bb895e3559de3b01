/**
 * The settings of paqet's transport by its own names (`transport.kcp` of its YAML), with its defaults of alpha.21, and what
 * they mean for the layers. Both ends must agree on `block`, `key` and the shards: nothing is negotiated.
 */

import { type KcpMode, type KcpModeName, kcpModes, type KcpOptions } from "../kcp/kcp_options.ts";
import type { MuxOptions } from "../mux.ts";
import type { CryptName } from "../packet_layer/crypt.ts";
import { DialectCheck } from "../packet_layer/dialect_check.ts";
import { checkFecShards, type FecShards } from "../packet_layer/fec_encoder.ts";
import { FEC_HEAD_BYTES } from "../packet_layer/fec_head.ts";
import type { PacketSeal } from "../packet_seal.ts";

export interface PaqetSettings {
  /** The passphrase; `none` and `null` need none. */
  readonly key: string;
  readonly block: CryptName;
  readonly mode: KcpModeName;
  /** The longest datagram, 100 to 1500. */
  readonly mtu: number;
  /** In segments. */
  readonly sndwnd: number;
  readonly rcvwnd: number;
  /** Either 0: no forward error correction of ours. */
  readonly dshard: number;
  readonly pshard: number;
  /** Of the mode `manual`. */
  readonly nodelay: number;
  readonly interval: number;
  readonly resend: number;
  readonly nocongestion: number;
  readonly wdelay: boolean;
  readonly acknodelay: boolean;
  /** Received bytes of all streams of a tunnel, and of one. */
  readonly smuxbuf: number;
  readonly streambuf: number;
  /** Seconds between signs of life, and of silence that end a tunnel. */
  readonly smuxkalive: number;
  readonly smuxktimeout: number;
}

const common = {
  key: "",
  block: "aes",
  mode: "fast",
  mtu: 1350,
  dshard: 0,
  pshard: 0,
  nodelay: 0,
  interval: 0,
  resend: 0,
  nocongestion: 0,
  wdelay: false,
  acknodelay: false,
  smuxbuf: 4 * 1024 * 1024,
  streambuf: 2 * 1024 * 1024,
  smuxkalive: 2,
  smuxktimeout: 8,
} as const;

export const paqetDefaults: { readonly client: PaqetSettings; readonly server: PaqetSettings } = {
  client: { ...common, sndwnd: 128, rcvwnd: 512 },
  server: { ...common, sndwnd: 1024, rcvwnd: 1024 },
};

/** A group whose last datagram comes so late gets no parity: paqet's kcp-go is newer than kcptun's. */
export const PAQET_FEC_QUIET_MS = 500;

/** Whole frames of smux, as paqet has them. */
const MAX_FRAME_BYTES = 65_535;

/** The settings with the defaults of that side. Throws a CulvertError for those that cannot be. */
export function paqetSettings(side: "client" | "server", given: Partial<PaqetSettings>): PaqetSettings {
  const settings = { ...paqetDefaults[side], ...given };
  const { block, key } = settings;
  const check = new DialectCheck("paqet");
  check.crypt("block", block);
  check.must("key", "nothing", key !== "" || block === "none" || block === "null", "given");
  check.common(settings);
  check.whole("smuxbuf", settings.smuxbuf, 1024, 2 ** 31 - 1);
  check.whole("streambuf", settings.streambuf, 1024, settings.smuxbuf);
  check.whole("smuxkalive", settings.smuxkalive, 1, 3600);
  check.whole("smuxktimeout", settings.smuxktimeout, settings.smuxkalive + 1, 7200);
  const shards = paqetShards(settings);
  if (shards) checkFecShards(shards);
  return settings;
}

/** The shards of what we send. */
export function paqetShards({ dshard, pshard }: PaqetSettings): FecShards | undefined {
  return dshard > 0 && pshard > 0 ? { dataShards: dshard, parityShards: pshard } : undefined;
}

export function paqetKcp(settings: PaqetSettings, seal: PacketSeal): Omit<KcpOptions, "conv"> {
  const { mtu, sndwnd, rcvwnd } = settings;
  const headBytes = seal.headBytes + seal.tailBytes + (paqetShards(settings) ? FEC_HEAD_BYTES : 0);
  return { ...paqetMode(settings), mtuBytes: mtu - headBytes, sendWindow: sndwnd, receiveWindow: rcvwnd };
}

export function paqetMux(settings: PaqetSettings): Omit<MuxOptions, "role"> {
  return {
    version: 2,
    extensions: false,
    maxPayloadBytes: MAX_FRAME_BYTES,
    windowBytes: settings.streambuf,
    sessionBufferBytes: settings.smuxbuf,
    keepAliveIntervalMs: settings.smuxkalive * 1000,
    keepAliveTimeoutMs: settings.smuxktimeout * 1000,
  };
}

function paqetMode(settings: PaqetSettings): KcpMode {
  const { mode, nodelay, interval, resend, nocongestion, wdelay, acknodelay } = settings;
  if (mode !== "manual") return kcpModes[mode];
  return {
    noDelay: nodelay !== 0,
    intervalMs: interval,
    fastResend: resend,
    congestion: nocongestion === 0 ? "kcp" : "none",
    writeDelay: wdelay,
    ackNoDelay: acknodelay,
  };
}
