/** Whether packets come from the far end that was named, where one was: its address, and one of its ports. */

import type { CarrierOptions } from "./carrier_options.ts";
import { CulvertError } from "./errors.ts";
import { equalIp, type IpAddress, parseIp } from "./ip.ts";
import { type PortSpan, portSpan } from "./port_span.ts";

export class PeerCheck {
  readonly address: IpAddress | undefined;
  readonly ports: PortSpan | undefined;

  constructor(peer: CarrierOptions["peer"]) {
    if (!peer) return;
    this.address = mustBeIp(peer.host);
    this.ports = portSpan(peer.ports);
  }

  accepts(address: IpAddress, port: number): boolean {
    if (!this.address || !this.ports) return true;
    const { first, count } = this.ports;
    return port >= first && port < first + count && equalIp(this.address, address);
  }
}

/** Throws when it is a name, or nothing of the kind. */
export function mustBeIp(host: string): IpAddress {
  const address = parseIp(host);
  if (!address) throw new CulvertError("invalid_argument", `Cannot use a host: it must be an IP address, got ${host}`);
  return address;
}
