/**
 * What everything between peers is made of, and how a mux between two of them is set.
 */

import type { Clock } from "../../protocol/clock.ts";
import type { Identity } from "../../protocol/identity.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import { type MuxOptions, WindowBudget } from "../../protocol/mux.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import type { WireGuardCrypto } from "../../protocol/wireguard/crypto.ts";

export interface PeerParts {
  readonly identity: Identity;
  readonly primitives: Primitives;
  /** `openSealCrypto` opens the fastest. */
  readonly crypto: WireGuardCrypto;
  readonly clock: Clock;
  /** Must be unpredictable. */
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Between two peers: signs of life often enough to notice a way that is dead, seldom enough for a thousand guests. */
const ALIVE = { keepAliveIntervalMs: 3_000, keepAliveTimeoutMs: 12_000 } as const;

/** At a guest, for whom much may be on its way: so much of what it has asked for may wait to be read. */
export const GUEST_MUX: Omit<MuxOptions, "role"> = {
  ...ALIVE,
  extensions: true,
  sessionBufferBytes: 64 * 1024 * 1024,
};

/** At a host or relay, who may have many connections, and of strangers: what fast ones may hold they share. */
export function sharedMux(
  { linkBytes, allBytes }: { readonly linkBytes: number; readonly allBytes: number },
): Omit<MuxOptions, "role"> {
  return {
    ...ALIVE,
    extensions: true,
    windowBytes: 256 * 1024,
    sessionBufferBytes: linkBytes,
    windowBudget: new WindowBudget(allBytes),
  };
}

/** Of what is read and written at once. */
export const LINK_BUFFER_BYTES = 256 * 1024;
