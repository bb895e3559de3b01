/** What KCP and the mux of GFK's Go version are set to, at both ends. */

import { kcpModes, type KcpOptions } from "../../protocol/kcp/kcp_options.ts";
import type { MuxOptions } from "../../protocol/mux.ts";
import type { PacketSeal } from "../../protocol/packet_seal.ts";

const MTU_BYTES = 1400;
const WINDOW = 128;
const LEAST_STREAM_BUFFER_BYTES = 64 * 1024;
/** From a link's beginning to the answer to its hello. */
export const HELLO_TIMEOUT_MS = 8000;

export function gfkKcp(seal: PacketSeal, mtuBytes: number = MTU_BYTES): Omit<KcpOptions, "conv"> {
  return {
    ...kcpModes.fast3,
    mtuBytes: mtuBytes - seal.headBytes - seal.tailBytes,
    sendWindow: WINDOW,
    receiveWindow: WINDOW,
  };
}

export function gfkMux(mtuBytes: number = MTU_BYTES): Omit<MuxOptions, "role"> {
  const windowBytes = Math.max(LEAST_STREAM_BUFFER_BYTES, 2 * WINDOW * mtuBytes);
  return {
    version: 2,
    extensions: false,
    windowBytes,
    sessionBufferBytes: 4 * windowBytes,
    keepAliveIntervalMs: 4000,
    keepAliveTimeoutMs: 8000,
  };
}
