/**
 * Opens a packet carrier by its options: UDP, through the kernel's batches where FFI is allowed and datagram by datagram
 * elsewhere, or packets that look like TCP, which need Linux, FFI and CAP_NET_RAW.
 *
 *   await using carrier = await openCarrier({ kind: "udp", listen: { ports: 29900 }, clock, random, log, metrics });
 *   carrier.start(handlers);
 */

import { messageOf } from "../../protocol/errors.ts";
import type { CarrierOptions } from "../../protocol/carrier_options.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";
import { openDatagramCarrier } from "./udp_carrier.ts";
import { isNotPermitted } from "../runtime.ts";

export { type CarrierOptions, type FlaggedCarrier, isFlagged } from "../../protocol/carrier_options.ts";

/** Throws when the options are none, the port is taken, or the system does not allow it. */
export async function openCarrier(options: CarrierOptions): Promise<PacketCarrier> {
  if (options.kind === "raw") {
    const { openRawCarrier } = await import("../../native/packets/open_raw_carrier.ts");
    return await openRawCarrier(options);
  }
  try {
    const { openUdpCarrier } = await import("../../native/packets/udp_carrier.ts");
    return openUdpCarrier(options);
  } catch (error) {
    if (!isWithoutLibc(error)) throw error;
    options.log.debug("UDP goes datagram by datagram", { reason: messageOf(error) });
    return await openDatagramCarrier(options);
  }
}

/** FFI is not allowed, or the system is another than Linux. */
function isWithoutLibc(error: unknown): boolean {
  return isNotPermitted(error) || (error as { code?: unknown } | undefined)?.code === "no_libc";
}
