/**
 * The one step between a resolver's answer and a socket: every address is judged, and only those that pass go on.
 */

import type { AddressSet, EgressPolicy, Refusal } from "../protocol/egress_policy.ts";
import { DialError } from "../protocol/errors.ts";
import type { IpAddress } from "../protocol/ip.ts";

/** The addresses that may be dialled, at least one; throws `unresolved` for none and `denied` if all are refused. */
export function checkedAddresses(
  addresses: readonly IpAddress[],
  port: number,
  policy: EgressPolicy,
  own: AddressSet,
): readonly IpAddress[] {
  if (addresses.length === 0) throw new DialError("unresolved", "Cannot dial: the name has no address");
  let firstRefusal: Refusal | undefined;
  const allowed = addresses.filter((address) => {
    const refusal = policy.checkAddress(address, port, own);
    firstRefusal ??= refusal;
    return !refusal;
  });
  if (allowed.length === 0) throw deniedError(firstRefusal!);
  return allowed;
}

/** Throws `denied` if there is a refusal. */
export function assertAllowed(refusal: Refusal | undefined): void {
  if (refusal) throw deniedError(refusal);
}

/** A refusal as callers of a Path get it. */
export function deniedError(refusal: Refusal): DialError {
  return new DialError("denied", `Cannot dial: ${refusal.message}`);
}
