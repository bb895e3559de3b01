/**
 * Where a session is relayed, as an address: names are looked up, for no longer than a few seconds.
 */

import { orAborted } from "../../../protocol/abort.ts";
import { type Clock, deadline } from "../../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../../protocol/errors.ts";
import { type Cidr, contains, type IpAddress } from "../../../protocol/ip.ts";
import { classify, type IpClass } from "../../../protocol/ip_class.ts";
import { endpointOf, splitHostAndPort } from "../../../protocol/wireguard/endpoint.ts";
import type { Endpoint } from "../../../protocol/wireguard/settings.ts";

const LOOKUP_WITHIN_MS = 5_000;
/** Not of one machine. Others may be right: supernodes stand in private networks too, and on the exit's own machine. */
const NOBODYS: readonly IpClass[] = ["unspecified", "multicast", "broadcast"];

export type Lookup = (name: string) => Promise<readonly IpAddress[]>;

export interface RelayAddressTools {
  readonly lookup: Lookup;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** What is inside the tunnel, where no relay can be: its datagrams would go round in it. */
  readonly tunnels?: readonly Cidr[];
}

/** Throws `bad_relay` for what is no host and port, for a name without an address, and for an address that no relay has. */
export async function relayAddress(relay: string, tools: RelayAddressTools): Promise<Endpoint> {
  const target = splitHostAndPort(relay);
  if (!target || target.port === 0) throw badRelay(relay, "it must be a host and a port");
  const at = endpointOf(target) ?? { address: await lookUp(relay, target.host, tools), port: target.port };
  if (NOBODYS.includes(classify(at.address)) || tools.tunnels?.some((tunnel) => contains(tunnel, at.address))) {
    throw badRelay(relay, "it must be at the address of one machine, outside the tunnel");
  }
  return at;
}

async function lookUp(relay: string, host: string, { lookup, clock, signal }: RelayAddressTools): Promise<IpAddress> {
  using limit = deadline(clock, LOOKUP_WITHIN_MS, "look up the relay", signal);
  let addresses: readonly IpAddress[];
  try {
    // The system sorts them by preference (RFC 6724).
    addresses = await orAborted(lookup(host), limit.signal);
  } catch (error) {
    signal.throwIfAborted();
    throw badRelay(relay, messageOf(error));
  }
  const [address] = addresses;
  if (!address) throw badRelay(relay, "there is no such name");
  return address;
}

function badRelay(relay: string, why: string): CulvertError {
  return new CulvertError("bad_relay", `Cannot find the relay ${relay}: ${why}`);
}
