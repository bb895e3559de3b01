/** What a peer says of itself, for the dashboard. */

import type { PeerFacts } from "../../edge/dashboard/inventory.ts";
import type { Telemetry } from "../../protocol/control/messages.ts";

export function telemetryFactsOf(telemetry: Telemetry | undefined): Partial<PeerFacts> {
  if (!telemetry) return {};
  const { rttMs, load, txMbps, rxMbps, sessions, draining, dataPath } = telemetry;
  return { rttMs, load, txMbps, rxMbps, sessions, isDraining: draining, isFailing: dataPath && !dataPath.ok };
}
