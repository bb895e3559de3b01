/**
 * One of the tunnels of a kcptun client: an mux over [Snappy] over KCP over a carrier of its own, made anew when it ends, and
 * what is known of the far end: kcptun says nothing of itself, but whatever comes and opens under the key is proof of it.
 */

import { orAborted } from "../../protocol/abort.ts";
import { type Clock, deadline } from "../../protocol/clock.ts";
import { KCP_HEADER_BYTES, UNA_AT } from "../../protocol/kcp/segment.ts";
import { FEC_HEAD_BYTES, FecType, fecTypeOf } from "../../protocol/packet_layer/fec_head.ts";
import type { PacketSeal } from "../../protocol/packet_seal.ts";
import type { Slab } from "../../protocol/slab.ts";
import type { Link } from "../link.ts";
import { LinkKeeper, type LinkKeeperOptions } from "../link_keeper.ts";
import type { KcpLink } from "./kcp_link.ts";

/** Makes the KCP link, given the seal to make it with. */
export type MakeKcpLink = (signal: AbortSignal, watch: (seal: PacketSeal) => PacketSeal) => Promise<KcpLink>;

export interface KcptunTunnelOptions extends Omit<LinkKeeperOptions, "connect"> {
  readonly connect: MakeKcpLink;
  /** Puts what belongs there between KCP and the mux. */
  wrap(kcp: KcpLink): Link;
}

export class KcptunTunnel {
  readonly keeper: LinkKeeper;
  readonly bornMs: number;
  readonly #clock: Clock;
  /** When something genuine came last; of a link that has heard nothing, never. */
  #heardMs = -Infinity;
  #kcp: KcpLink | undefined;
  #silentLooks = 0;
  #waiting: (() => void)[] = [];

  constructor(options: KcptunTunnelOptions) {
    this.#clock = options.clock;
    this.bornMs = this.#clock.now();
    this.keeper = new LinkKeeper({
      ...options,
      connect: async (signal) => {
        const kcp = await options.connect(signal, (seal) => new WatchedSeal(seal, () => this.#hear()));
        this.#heardMs = -Infinity;
        this.#kcp = kcp;
        return options.wrap(kcp);
      },
    });
  }

  get streamCount(): number {
    return this.keeper.connection?.streamCount ?? 0;
  }

  /** The link that is up has heard something genuine. */
  get everHeard(): boolean {
    return this.#heardMs > -Infinity;
  }

  heardWithin(ms: number): boolean {
    return this.#clock.now() - this.#heardMs <= ms;
  }

  /** To be called every `sinceMs`: how often in a row something was under way then and nothing had been heard meanwhile. */
  look(sinceMs: number): number {
    const isSilent = (this.#kcp?.kcp.inFlight ?? 0) > 0 && !this.heardWithin(sinceMs);
    return this.#silentLooks = isSilent ? this.#silentLooks + 1 : 0;
  }

  /** Settles when something genuine comes from the far end: true; false when nothing does for so long. */
  async hears(timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    const heard = Promise.withResolvers<void>();
    this.#waiting.push(heard.resolve);
    using limit = deadline(this.#clock, timeoutMs, "hear the far end", signal);
    try {
      await orAborted(heard.promise, limit.signal);
      return true;
    } catch {
      signal?.throwIfAborted();
      return false;
    } finally {
      this.#waiting = this.#waiting.filter((resolve) => resolve !== heard.resolve);
    }
  }

  close(): void {
    this.keeper.close();
  }

  #hear(): void {
    this.#heardMs = this.#clock.now();
    if (this.#waiting.length === 0) return;
    for (const resolve of this.#waiting) resolve();
  }
}

/**
 * A seal that tells when it has opened something from a far end that remembers this link. One that has forgotten it (it was
 * restarted) makes a new session of what it gets, and acknowledges what will never be delivered there; but it says that
 * it waits for the first segment, long after that was taken.
 */
class WatchedSeal implements PacketSeal {
  readonly headBytes: number;
  readonly tailBytes: number;
  readonly #seal: PacketSeal;
  readonly #onOpened: () => void;
  /** The segment that the far end waits for, as it last said. */
  #awaited = 0;

  constructor(seal: PacketSeal, onOpened: () => void) {
    this.headBytes = seal.headBytes;
    this.tailBytes = seal.tailBytes;
    this.#seal = seal;
    this.#onOpened = onOpened;
  }

  seal: PacketSeal["seal"] = (slab, start, end) => this.#seal.seal(slab, start, end);

  open: PacketSeal["open"] = (slab, start, end) => {
    const isGenuine = this.#seal.open(slab, start, end);
    if (isGenuine) this.#look(slab, start + this.headBytes, end - this.tailBytes);
    return isGenuine;
  };

  #look(slab: Slab, start: number, end: number): void {
    const type = fecTypeOf(slab, start, end);
    const at = type === undefined ? start : start + FEC_HEAD_BYTES;
    if (type === FecType.parity || end - at < KCP_HEADER_BYTES) return;
    const awaited = slab.view.getInt32(at + UNA_AT, true);
    if ((awaited - this.#awaited | 0) < 0) return;
    this.#awaited = awaited;
    this.#onOpened();
  }
}
