/**
 * What an exit says of itself with every ping: how much it carries and could still carry, and whether its way out works,
 * asked of the way out itself.
 */

import { httpProbe } from "../../net/probe.ts";
import { type Clock, deadline, delay } from "../../protocol/clock.ts";
import type { Telemetry } from "../../protocol/control/messages.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Path } from "../../protocol/stream.ts";
import type { TrafficRates } from "../peer/traffic_rates.ts";
import type { PacketsTelemetry } from "./packets/exit_packets.ts";

export interface ExitTelemetryOptions {
  readonly rates: TrafficRates;
  readonly bandwidthMbps: number;
  readonly maxSessions: number;
  sessionCount(): number;
  isDraining(): boolean;
  /** What it carries as packets; undefined when it carries none. */
  packets?(): PacketsTelemetry | undefined;
  /** The way out works no more, or again. */
  onChange(): void;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

const PROBE_EVERY_MS = 10_000;
const PROBE_AGAIN_MS = 2_000;
const PROBE_WITHIN_MS = 5_000;

type DataPath = NonNullable<Telemetry["dataPath"]>;

export class ExitTelemetry {
  readonly #options: ExitTelemetryOptions;
  #dataPath: DataPath | undefined;
  #problem: string | undefined;
  readonly #metrics;

  constructor(options: ExitTelemetryOptions) {
    this.#options = options;
    const { metrics } = options;
    this.#metrics = {
      probes: metrics.counter("exit_probes_total", "Probes of the way out, by outcome", ["outcome"]),
      works: metrics.gauge("exit_way_out_up", "Whether the way out works"),
    };
  }

  /** Why nothing comes out here, when it was last tried. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** For one ping: rates are those since the last one. */
  take(): Telemetry {
    const { rates, bandwidthMbps, maxSessions } = this.#options;
    const streams = rates.take();
    const { rxMbps: receivedMbps = 0, txMbps: sentMbps = 0, ...packets } = this.#options.packets?.() ?? {};
    const [rxMbps, txMbps] = [streams.rxMbps + receivedMbps, streams.txMbps + sentMbps];
    const busiest = Math.max(rxMbps, txMbps);
    const sessions = this.#options.sessionCount();
    return {
      rxMbps,
      txMbps,
      spareMbps: Math.max(0, bandwidthMbps - busiest),
      load: Math.min(1, Math.max(busiest / bandwidthMbps, sessions / maxSessions)),
      sessions,
      draining: this.#options.isDraining(),
      ...(this.#dataPath && { dataPath: this.#dataPath }),
      ...packets,
    };
  }

  /** Probes the way out until the signal is aborted. */
  async watch(onward: Path, signal: AbortSignal): Promise<void> {
    const { clock, onChange } = this.#options;
    const probe = httpProbe();
    while (!signal.aborted) {
      const startMs = clock.now();
      const wasOk = this.#dataPath?.ok ?? true;
      using limit = deadline(clock, PROBE_WITHIN_MS, "probe the way out", signal);
      try {
        await probe(onward, limit.signal);
        this.#dataPath = { ok: true, latencyMs: clock.now() - startMs, failures: 0 };
        this.#problem = undefined;
      } catch (error) {
        if (signal.aborted) return;
        this.#dataPath = { ok: false, failures: (this.#dataPath?.failures ?? 0) + 1 };
        this.#problem = messageOf(error);
      }
      const { ok } = this.#dataPath;
      this.#metrics.probes.add(1, { outcome: ok ? "ok" : "failed" });
      this.#metrics.works.set(ok ? 1 : 0);
      if (ok !== wasOk) onChange();
      await delay(clock, ok ? PROBE_EVERY_MS : PROBE_AGAIN_MS, signal).catch(() => {});
    }
  }
}
