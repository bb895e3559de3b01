/**
 * What an exit says of itself with every ping: how much it carries and could still carry, and whether its way out works,
 * asked of the way out itself.
 */

import type { Traffic } from "../../net/data_link.ts";
import { httpProbe } from "../../net/probe.ts";
import { type Clock, deadline, delay } from "../../protocol/clock.ts";
import type { Telemetry } from "../../protocol/control/messages.ts";
import type { Path } from "../../protocol/stream.ts";

export interface ExitTelemetryOptions {
  readonly traffic: Traffic;
  readonly bandwidthMbps: number;
  readonly maxSessions: number;
  sessionCount(): number;
  isDraining(): boolean;
  readonly clock: Clock;
}

const PROBE_EVERY_MS = 10_000;
const PROBE_WITHIN_MS = 5_000;

type DataPath = NonNullable<Telemetry["dataPath"]>;

export class ExitTelemetry {
  readonly #options: ExitTelemetryOptions;
  #dataPath: DataPath | undefined;
  /** When the last ping was, and the bytes until then. */
  #last: { atMs: number } & Traffic;

  constructor(options: ExitTelemetryOptions) {
    this.#options = options;
    this.#last = { atMs: options.clock.now(), ...options.traffic };
  }

  /** For one ping: rates are those since the last one. */
  take(): Telemetry {
    const { traffic, bandwidthMbps, maxSessions, clock } = this.#options;
    const nowMs = clock.now();
    const elapsedMs = Math.max(1, nowMs - this.#last.atMs);
    const rxMbps = megabits(traffic.rxBytes - this.#last.rxBytes, elapsedMs);
    const txMbps = megabits(traffic.txBytes - this.#last.txBytes, elapsedMs);
    this.#last = { atMs: nowMs, ...traffic };
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
    };
  }

  /** Probes the way out until the signal is aborted. */
  async watch(onward: Path, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const probe = httpProbe();
    while (!signal.aborted) {
      const startMs = clock.now();
      using limit = deadline(clock, PROBE_WITHIN_MS, "probe the way out", signal);
      try {
        await probe(onward, limit.signal);
        this.#dataPath = { ok: true, latencyMs: clock.now() - startMs, failures: 0 };
      } catch {
        this.#dataPath = { ok: false, failures: (this.#dataPath?.failures ?? 0) + 1 };
      }
      await delay(clock, PROBE_EVERY_MS, signal).catch(() => {});
    }
  }
}

function megabits(bytes: number, elapsedMs: number): number {
  return bytes * 8 / 1000 / elapsedMs;
}
