/**
 * How the process fares, looked at every five seconds: processor, and what the data links carry.
 */

import process from "node:process";
import type { Traffic } from "../../net/counted_link.ts";
import type { Clock, Timer } from "../../protocol/clock.ts";
import type { Metrics } from "../../protocol/metrics.ts";

const LOOK_MS = 5_000;

export interface VitalsOptions {
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Over the data links. */
  readonly traffic: Traffic;
  /** WireGuard peers that exits tell of. */
  wireguardPeers(): number;
}

export class Vitals implements Disposable {
  readonly #options: VitalsOptions;
  readonly #gauges;
  #timer: Timer;
  #last;
  #cpuPct: number | undefined;

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

  /** Processor time used of late, in percent of one processor; undefined until there has been a look. */
  get cpuPct(): number | undefined {
    return this.#cpuPct;
  }

  [Symbol.dispose](): void {
    this.#timer.cancel();
  }

  #reading() {
    const { user, system } = process.cpuUsage();
    const { clock, traffic } = this.#options;
    return { atMs: clock.now(), cpuMs: (user + system) / 1000, ...traffic };
  }

  #look(): void {
    const now = this.#reading();
    const last = this.#last;
    const passedMs = Math.max(1, now.atMs - last.atMs);
    this.#cpuPct = 100 * (now.cpuMs - last.cpuMs) / passedMs;
    this.#gauges.cpu.set(this.#cpuPct);
    this.#gauges.tx.set((now.txBytes - last.txBytes) * 8 / 1000 / passedMs);
    this.#gauges.rx.set((now.rxBytes - last.rxBytes) * 8 / 1000 / passedMs);
    this.#gauges.wireguard.set(this.#options.wireguardPeers());
    this.#last = now;
    this.#timer = this.#options.clock.after(LOOK_MS, () => this.#look());
  }
}
