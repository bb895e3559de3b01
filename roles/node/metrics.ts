/**
 * What a node measures of itself, beside what `SharedPath` counts.
 */

import type { Gauge, Metrics } from "../../protocol/metrics.ts";
import { pauseReasons } from "../../protocol/sharing/node_messages.ts";
import type { Pause } from "./pauses.ts";

export class NodeMetrics {
  readonly #paused: Gauge;
  readonly #capLeft: Gauge;

  constructor(metrics: Metrics) {
    this.#paused = metrics.gauge("node_paused", "Whether the node is paused, by reason", ["reason"]);
    this.#capLeft = metrics.gauge("node_cap_left_bytes", "What may be shared until the nearer cap, if there is one");
  }

  paused(pauses: readonly Pause[]): void {
    for (const reason of pauseReasons) {
      this.#paused.set(pauses.some((pause) => pause.reason === reason) ? 1 : 0, { reason });
    }
  }

  capLeft(bytes: number): void {
    if (Number.isFinite(bytes)) this.#capLeft.set(bytes);
  }
}
