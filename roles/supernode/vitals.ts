/**
 * How the process fares, looked at every five seconds: processor, and what the data links carry.
 */

import process from "node:process";
import type { Clock, Timer } from "../../protocol/clock.ts";
import type { Metrics } from "../../protocol/metrics.ts";

const LOOK_MS = 5_000;

export interface VitalsOptions {
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Since the beginning; what comes in on data links goes out again. */
  relayedBytes(): number;
  /** WireGuard peers that exits tell of. */
  wireguardPeers(): number;
}

export class Vitals implements Disposable {
  readonly #options: VitalsOptions;
  readonly #gauges;
  #timer: Timer;
  #last;

  constructor(options: VitalsOptions) {
    this.#options = options;
    const { metrics, clock } = options;
    this.#gauges = {
      cpu: metrics.gauge("supernode_cpu_pct", "Processor time used, in percent of one processor"),
      tx: metrics.gauge("supernode_net_tx_mbps", "What the data links send, in Mbit/s"),
      rx: metrics.gauge("supernode_net_rx_mbps", "What the data links receive, in Mbit/s"),
      wireguard: metrics.gauge("wg_peers_count", "WireGuard peers of the exits connected here"),
    };
    this.#last = this.#reading();
    this.#timer = clock.after(LOOK_MS, () => this.#look());
  }

  [Symbol.dispose](): void {
    this.#timer.cancel();
  }

  #reading() {
    const { user, system } = process.cpuUsage();
    return { atMs: this.#options.clock.now(), cpuMs: (user + system) / 1000, bytes: this.#options.relayedBytes() };
  }

  #look(): void {
    const now = this.#reading();
    const last = this.#last;
    const passedMs = Math.max(1, now.atMs - last.atMs);
    this.#gauges.cpu.set(100 * (now.cpuMs - last.cpuMs) / passedMs);
    const mbps = (now.bytes - last.bytes) * 8 / 1000 / passedMs;
    this.#gauges.tx.set(mbps);
    this.#gauges.rx.set(mbps);
    this.#gauges.wireguard.set(this.#options.wireguardPeers());
    this.#last = now;
    this.#timer = this.#options.clock.after(LOOK_MS, () => this.#look());
  }
}
