/**
 * What a client says of itself with every ping: how much it carries, and whether the whole way through its exit works,
 * as its probes have found.
 */

import type { SessionSwitch } from "../../net/session_switch.ts";
import type { Telemetry } from "../../protocol/control/messages.ts";
import type { TrafficRates } from "../peer/traffic_rates.ts";

export function clientTelemetry(exits: SessionSwitch, rates: TrafficRates): Telemetry {
  const { dataPath, sessionIds } = exits;
  return { ...rates.take(), sessions: sessionIds.size, ...(dataPath && { dataPath }) };
}
