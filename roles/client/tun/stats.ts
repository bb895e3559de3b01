/**
 * What has gone through a client's tunnels, over all sessions, and when the present one's last handshake was: looked up
 * every now and then, for what may ask only once and at once.
 */

import { type Clock, delay } from "../../../protocol/clock.ts";
import type { Telemetry } from "../../../protocol/control/messages.ts";
import type { PacketWay } from "./packet_way.ts";

const LOOK_MS = 3_000;

/** Several sessions may share a tunnel. */
type Counted = Pick<PacketWay, "status"> & { readonly tunnel: object };

export class TunnelStats {
  /** Only ever grows. */
  readonly traffic = { rxBytes: 0, txBytes: 0 };
  readonly #present: () => Counted | undefined;
  readonly #clock: Clock;
  #counted = new WeakMap<object, { rxBytes: number; txBytes: number }>();
  #lastHandshakeMs = 0;

  constructor(present: () => Counted | undefined, clock: Clock) {
    this.#present = present;
    this.#clock = clock;
  }

  get handshakeAgeMs(): number | undefined {
    return this.#lastHandshakeMs === 0 ? undefined : Math.max(0, this.#clock.wallNow() - this.#lastHandshakeMs);
  }

  get telemetry(): Pick<Telemetry, "wireguard"> {
    const { handshakeAgeMs: ageMs } = this;
    if (ageMs === undefined) return {};
    return { wireguard: { peers: 1, ...this.traffic, lastHandshakeAgeMs: Math.min(ageMs, 86_400_000) } };
  }

  /** Until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.refresh();
      await delay(this.#clock, LOOK_MS, signal).catch(() => {});
    }
  }

  async refresh(): Promise<void> {
    const way = this.#present();
    const peer = await way?.status().catch(() => undefined); // its device may just have gone
    if (!way || !peer) return;
    const before = this.#counted.get(way.tunnel) ?? { rxBytes: 0, txBytes: 0 };
    const now = { rxBytes: peer.receivedBytes, txBytes: peer.sentBytes };
    this.#counted.set(way.tunnel, now);
    // A peer that was made anew begins at nothing.
    this.traffic.rxBytes += now.rxBytes - (now.rxBytes < before.rxBytes ? 0 : before.rxBytes);
    this.traffic.txBytes += now.txBytes - (now.txBytes < before.txBytes ? 0 : before.txBytes);
    this.#lastHandshakeMs = Math.round(peer.lastHandshakeMs);
  }
}
