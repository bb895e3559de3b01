/**
 * What a client's settings wish of an exit.
 */

import type { ExitWish } from "../../protocol/control/messages.ts";
import type { ClientConfig } from "./settings.ts";

export function wishOf(
  { region, minBandwidth, maxLatency }: Pick<ClientConfig, "region" | "minBandwidth" | "maxLatency">,
): ExitWish {
  return {
    ...(region !== undefined && { region }),
    ...(minBandwidth !== undefined && { minBandwidthMbps: minBandwidth }),
    ...(maxLatency !== undefined && { maxLatencyMs: maxLatency }),
  };
}
