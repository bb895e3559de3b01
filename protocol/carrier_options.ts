/**
 * What a packet carrier is opened by, whatever opens it (`net/packets/open_carrier.ts`).
 */

import type { CarrierGroup } from "./carrier_group.ts";
import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { PacketCarrier, PacketPlace } from "./packet_carrier.ts";
import type { Ports } from "./port_span.ts";
import type { Random } from "./random.ts";
import type { LookName } from "./tcp_look/look_name.ts";

export interface CarrierOptions {
  readonly kind: "udp" | "raw";
  /** What it receives on. Without ports one is chosen; without a host it is every address. */
  readonly listen?: { readonly host?: string; readonly ports?: Ports };
  /** The far end of a client: nothing is taken from elsewhere. An IP address. */
  readonly peer?: { readonly host: string; readonly ports: Ports };
  /** Of raw packets; default `ours`. */
  readonly look?: LookName;
  /** The flags that packets of the look `paqet` take turns with, as letters; default ["PA"]. */
  readonly flags?: readonly string[];
  /** Where packets are received; default: of raw ones the one that leads to the peer, otherwise every one. */
  readonly interface?: string;
  /** The address that raw packets leave from when nobody has asked one of ours; default: what the routes say. */
  readonly source?: string;
  /** For `send: "packet"`; default: what the kernel knows, or asks. */
  readonly gatewayMac?: string;
  /** Raw packets go through the kernel's routes and filters, or straight to the card. Default `packet` for `ours`, else `ip`. */
  readonly send?: "ip" | "packet";
  /** Whether the rules that keep the kernel quiet are set, and taken away at the end. Default true. */
  readonly manageFirewall?: boolean;
  /** The carriers that it waits with, so that one thread waits for all. Default: it waits by itself. */
  readonly group?: CarrierGroup;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** A carrier whose packets carry flags that the far end may choose (paqet). */
export interface FlaggedCarrier extends PacketCarrier {
  /** From now on packets to that place take turns with these flag words, `tcp_look/flags.ts`; none: our own again. */
  useFlags(place: PacketPlace, flags: readonly number[]): void;
}

export function isFlagged(carrier: PacketCarrier): carrier is FlaggedCarrier {
  return "useFlags" in carrier;
}
