/**
 * Where a session is relayed, as an address: names are looked up, for no longer than a few seconds.
 */

import { orAborted } from "../../../protocol/abort.ts";
import { type Clock, deadline } from "../../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../../protocol/errors.ts";
import type { IpAddress } from "../../../protocol/ip.ts";
import { endpointOf, splitHostAndPort } from "../../../protocol/wireguard/endpoint.ts";
import type { Endpoint } from "../../../protocol/wireguard/settings.ts";

const LOOKUP_WITHIN_MS = 5_000;

export type Lookup = (name: string) => Promise<readonly IpAddress[]>;

export interface RelayAddressTools {
  readonly lookup: Lookup;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Throws `bad_relay` for what is no host and port, and for a name without an address. */
export async function relayAddress(relay: string, { lookup, clock, signal }: RelayAddressTools): Promise<Endpoint> {
  const target = splitHostAndPort(relay);
  if (!target || target.port === 0) throw badRelay(relay, "it must be a host and a port");
  const given = endpointOf(target);
  if (given) return given;
  using limit = deadline(clock, LOOKUP_WITHIN_MS, "look up the relay", signal);
  let addresses: readonly IpAddress[];
  try {
    // The system sorts them by preference (RFC 6724).
    addresses = await orAborted(lookup(target.host), limit.signal);
  } catch (error) {
    signal.throwIfAborted();
    throw badRelay(relay, messageOf(error));
  }
  const [address] = addresses;
  if (!address) throw badRelay(relay, "there is no such name");
  return { address, port: target.port };
}

function badRelay(relay: string, why: string): CulvertError {
  return new CulvertError("bad_relay", `Cannot find the relay ${relay}: ${why}`);
}
