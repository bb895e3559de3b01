/** Opens a raw carrier. */

import type { CarrierOptions } from "../../protocol/carrier_options.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";

export function openRawCarrier(_options: CarrierOptions): Promise<PacketCarrier> {
  throw new CulvertError("unsupported", "Cannot open a raw carrier");
}
