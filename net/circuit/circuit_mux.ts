/**
 * How the mux of circuit links is set: what both ends of a link must have alike, and how much each lets streams hold.
 *
 * A circuit is one stream on each of its links. Its first window is eight cells, so that a circuit whose owner or gateway
 * has stopped reading holds next to nothing at a relay; one that moves fast earns a larger window out of what the link,
 * and all links of the relay together, may spend on that.
 */

import type { BlockPool } from "../../protocol/byte_queue.ts";
import type { MuxOptions, WindowBudget } from "../../protocol/mux.ts";

/** Part of the protocol: a sender may have so much in flight on a new stream. */
export const FIRST_WINDOW_BYTES = 16 * 1024;
/** Enough for 1 Gbit/s over a round trip of 16 ms. */
const LARGEST_WINDOW_BYTES = 2 * 1024 * 1024;

/**
 * For the link that a circuit is, as its far end sets it. There may be thousands of circuits on a relay, so they show that
 * they live less often than links of sockets do; and what one can make the far end hold is bounded.
 */
export function endToEndMux(): Omit<MuxOptions, "role" | "version" | "extensions"> {
  return {
    windowBytes: 256 * 1024,
    maxWindowBytes: 4 * 1024 * 1024,
    sessionBufferBytes: 16 * 1024 * 1024,
    keepAliveIntervalMs: 5_000,
    keepAliveTimeoutMs: 20_000,
  };
}

export interface CircuitMuxOptions {
  /** Streams at once. */
  readonly maxCircuits: number;
  /** How far windows of this link may grow, together. Default 16 MiB. */
  readonly growthBytes?: number;
  /** The same for all links that share it. */
  readonly windowBudget?: WindowBudget;
  readonly blockPool?: BlockPool;
}

export function circuitMux(options: CircuitMuxOptions): Omit<MuxOptions, "role" | "version" | "extensions"> {
  const { maxCircuits, growthBytes = 16 * 1024 * 1024, windowBudget, blockPool } = options;
  return {
    initialWindowBytes: FIRST_WINDOW_BYTES,
    windowBytes: FIRST_WINDOW_BYTES,
    maxWindowBytes: LARGEST_WINDOW_BYTES,
    // Half of it is what windows may grow by; the other half holds the first windows of all streams.
    sessionBufferBytes: 2 * Math.max(growthBytes, maxCircuits * FIRST_WINDOW_BYTES),
    maxStreams: maxCircuits,
    ...(windowBudget && { windowBudget }),
    ...(blockPool && { blockPool }),
  };
}
