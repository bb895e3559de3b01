/**
 * What the device says of itself, for the pings of the control stream: these take what there is and do not wait, so each
 * look is answered with the reading that the one before it has asked for.
 */

import type { WireGuardDevice } from "../../../native/wireguard/device.ts";
import type { Clock } from "../../../protocol/clock.ts";
import type { Telemetry } from "../../../protocol/control/messages.ts";
import { messageOf } from "../../../protocol/errors.ts";
import type { Log } from "../../../protocol/log.ts";
import type { PeerStatus } from "../../../protocol/wireguard/settings.ts";
import type { Rates } from "../../peer/traffic_rates.ts";

export interface DeviceReading extends Rates {
  readonly wireguard: NonNullable<Telemetry["wireguard"]>;
}

export interface DeviceReportOptions {
  readonly device: Pick<WireGuardDevice, "status">;
  readonly clock: Clock;
  readonly log: Log;
}

interface Counted {
  readonly atMs: number;
  /** By their keys. */
  readonly peers: ReadonlyMap<string, PeerStatus>;
}

/** The longest time that telemetry can tell of. */
const DAY_MS = 86_400_000;

export class DeviceReport {
  readonly #options: DeviceReportOptions;
  #reading: DeviceReading | undefined;
  #last: Counted | undefined;
  #asking: Promise<void> | undefined;

  constructor(options: DeviceReportOptions) {
    this.#options = options;
  }

  /** The last reading, undefined before the first; rates are those between it and the one before. Asks for the next one. */
  take(): DeviceReading | undefined {
    this.#asking ??= this.#ask().finally(() => this.#asking = undefined);
    return this.#reading;
  }

  /** Settles when nothing is being asked any more. */
  async settled(): Promise<void> {
    await this.#asking;
  }

  async #ask(): Promise<void> {
    const { device, clock, log } = this.#options;
    try {
      const { peers } = await device.status();
      const now = { atMs: clock.now(), peers: new Map(peers.map((peer) => [peer.publicKey.join(), peer])) };
      this.#reading = { wireguard: this.#total(peers), ...this.#rates(now) };
      this.#last = now;
    } catch (error) {
      log.debug("The device does not say how it is", { error: messageOf(error) });
    }
  }

  #total(peers: readonly PeerStatus[]): DeviceReading["wireguard"] {
    const lastMs = Math.max(...peers.map(({ lastHandshakeMs }) => lastHandshakeMs), 0);
    const ageMs = Math.max(0, this.#options.clock.wallNow() - lastMs);
    return {
      peers: peers.length,
      rxBytes: sumOf(peers, "receivedBytes"),
      txBytes: sumOf(peers, "sentBytes"),
      ...lastMs > 0 && { lastHandshakeAgeMs: Math.min(DAY_MS, ageMs) },
    };
  }

  /** Of each peer by itself: one that is gone has not taken its bytes back. */
  #rates({ atMs, peers }: Counted): Rates {
    const last = this.#last;
    if (!last) return { rxMbps: 0, txMbps: 0 };
    const since = (count: "receivedBytes" | "sentBytes") => {
      let bytes = 0;
      for (const [key, peer] of peers) bytes += Math.max(0, peer[count] - (last.peers.get(key)?.[count] ?? 0));
      return bytes * 8 / 1000 / Math.max(1, atMs - last.atMs);
    };
    return { rxMbps: since("receivedBytes"), txMbps: since("sentBytes") };
  }
}

function sumOf(peers: readonly PeerStatus[], count: "receivedBytes" | "sentBytes"): number {
  return peers.reduce((sum, peer) => sum + peer[count], 0);
}
