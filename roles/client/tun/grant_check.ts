/**
 * Whether the addresses that an exit grants may be used here. An exit is believed about what is inside the tunnel and no
 * further: an address that this machine has, or uses to get anywhere, would be taken from it by the same address in the
 * tunnel. Pure.
 */

import { equalIp, formatIp, type IpAddress } from "../../../protocol/ip.ts";
import { isClosed } from "../../../protocol/packets/punch_candidates.ts";

export interface GrantedAddresses {
  /** The client's own. */
  readonly addresses: readonly IpAddress[];
  readonly gateways: readonly IpAddress[];
  readonly nameServers: readonly IpAddress[];
}

/** What is wrong with it, as the end of a sentence; `taken` are addresses that mean something outside the tunnel. */
export function faultOfGrant(
  { addresses, gateways, nameServers }: GrantedAddresses,
  taken: readonly IpAddress[],
): string | undefined {
  const others = [...gateways, ...nameServers];
  for (const address of [...addresses, ...others]) {
    const text = formatIp(address);
    if (isClosed(address)) return `${text} can be no host's in a tunnel`;
    if (taken.some((one) => equalIp(one, address))) return `${text} is in use outside the tunnel`;
  }
  const both = others.find((one) => addresses.some((own) => equalIp(own, one)));
  return both && `${formatIp(both)} cannot be both ends'`;
}
