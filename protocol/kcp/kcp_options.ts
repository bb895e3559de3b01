/**
 * How a KCP session behaves. The modes and defaults are those of kcp-go and kcptun, whose words for them are in brackets.
 */

import { CulvertError } from "../errors.ts";
import type { Congestion } from "./congestion.ts";
import { KCP_HEADER_BYTES, KCP_MAX_MTU_BYTES } from "./segment.ts";
import type { KcpMemory } from "./segment_blocks.ts";

export interface KcpMode {
  /** A timeout grows by half of itself, not by all, and is 30 ms at least, not 100. [nodelay] */
  readonly noDelay: boolean;
  /** How often what is put off is looked at: 10 to 5000. [interval] */
  readonly intervalMs: number;
  /** So many later segments acknowledged, and an earlier one is taken for lost; 0: only by its timeout. [resend] */
  readonly fastResend: number;
  /** `kcp` is the scheme of KCP itself, `none` what everybody uses. [nc] */
  readonly congestion: "none" | "kcp" | Congestion;
  /** What is to be sent waits for the next interval, or a full window. */
  readonly writeDelay: boolean;
  /** Acknowledgements do not wait for the next interval. */
  readonly ackNoDelay: boolean;
}

export interface KcpOptions extends KcpMode {
  /** Which conversation this is; undefined: that of the first segment that comes. */
  readonly conv: number | undefined;
  /** The most bytes of a datagram that segments may fill. */
  readonly mtuBytes: number;
  /** In segments. */
  readonly sendWindow: number;
  readonly receiveWindow: number;
  /** Instead of what `noDelay` says. */
  readonly minRtoMs?: number;
  /** Both ends are ours: the end is told. Default false. */
  readonly goodbye?: boolean;
  /** Shared by sessions of the same `mtuBytes`. Default: its own. */
  readonly memory?: KcpMemory;
}

/** What a session needs of whoever drives it. */
export interface KcpEvents {
  /** Puts what should go next at the start of `into`; gives how many bytes, 0: none until `wake`. */
  fill(into: Uint8Array): number;
  /** Bytes have come, in order. A view, valid only during the call. */
  onBytes(bytes: Uint8Array): void;
  /** False while bytes are to be kept back; `resume` follows. */
  wantsBytes(): boolean;
}

const noCongestion = { congestion: "none" } as const;
const delaying = { writeDelay: true, ackNoDelay: false } as const;
const prompt = { writeDelay: false, ackNoDelay: true } as const;

/** The modes of kcp-go's users; kcptun itself never delays what is written, and takes `ackNoDelay` apart. */
export const kcpModes = {
  normal: { noDelay: false, intervalMs: 40, fastResend: 2, ...noCongestion, ...delaying },
  fast: { noDelay: false, intervalMs: 30, fastResend: 2, ...noCongestion, ...delaying },
  fast2: { noDelay: true, intervalMs: 20, fastResend: 2, ...noCongestion, ...prompt },
  fast3: { noDelay: true, intervalMs: 10, fastResend: 2, ...noCongestion, ...prompt },
} as const satisfies Record<string, KcpMode>;

/** `manual` stands for a mode whose parts are all given. */
export type KcpModeName = keyof typeof kcpModes | "manual";

export const MAX_KCP_WINDOW = 32_768;
/** One more than the most that can be counted; 255 says that a segment is not counted. */
export const MAX_FAST_RESEND = 254;

export function checkKcpOptions(options: KcpOptions): void {
  const { mtuBytes, sendWindow, receiveWindow, fastResend, conv } = options;
  check("mtuBytes", mtuBytes, KCP_HEADER_BYTES + 1, KCP_MAX_MTU_BYTES);
  check("sendWindow", sendWindow, 1, MAX_KCP_WINDOW);
  check("receiveWindow", receiveWindow, 1, MAX_KCP_WINDOW);
  check("fastResend", fastResend, 0, MAX_FAST_RESEND);
  if (conv !== undefined) check("conv", conv, 0, 0xffffffff);
}

function check(what: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new CulvertError("bad_option", `Cannot begin a KCP session: ${what} must be ${least} to ${most}, got ${value}`);
}
