/**
 * The little that WireGuard needs to know of the IP packets inside (RFC 791 §3.1, RFC 8200 §3): how long they are and are
 * made, where they come from and go to. Nothing is allocated, nothing beyond the given length is read.
 */

import type { AllowedIps } from "./allowed_ips.ts";
import { PADDING_BYTES } from "./constants.ts";

const IPV4_HEADER_BYTES = 20;
const IPV6_HEADER_BYTES = 40;

/** A packet's own length by its header; 0 if it is no IP packet or longer than the `available` bytes. */
export function innerLengthOf(bytes: Uint8Array, offset: number, available: number): number {
  const length = statedLength(bytes, offset, available);
  return length <= available ? length : 0;
}

/** 0 if it is no IP packet. */
function statedLength(bytes: Uint8Array, offset: number, available: number): number {
  if (available < IPV4_HEADER_BYTES) return 0;
  const version = bytes[offset]! >> 4;
  if (version === 4) {
    const length = (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
    return length >= IPV4_HEADER_BYTES ? length : 0;
  }
  if (version !== 6 || available < IPV6_HEADER_BYTES) return 0;
  return IPV6_HEADER_BYTES + ((bytes[offset + 4]! << 8) | bytes[offset + 5]!);
}

/** Who owns the source address of a packet that `innerLengthOf` found in order. */
export function sourceOf<P extends object>(owners: AllowedIps<P>, bytes: Uint8Array, offset: number): P | undefined {
  return bytes[offset]! >> 4 === 4 ? owners.lookup(bytes, offset + 12, 4) : owners.lookup(bytes, offset + 8, 16);
}

/** Who owns the destination address of any bytes; undefined if they are no IP packet. */
export function destinationOf<P extends object>(
  owners: AllowedIps<P>,
  bytes: Uint8Array,
  offset: number,
  available: number,
): P | undefined {
  if (available < IPV4_HEADER_BYTES) return undefined;
  const version = bytes[offset]! >> 4;
  if (version === 4) return owners.lookup(bytes, offset + 16, 4);
  return version === 6 && available >= IPV6_HEADER_BYTES ? owners.lookup(bytes, offset + 24, 16) : undefined;
}

/** What a packet is padded to: up to the next multiple of PADDING_BYTES, but never beyond the MTU. */
export function paddedLength(length: number, mtu: number): number {
  const padded = (length + PADDING_BYTES - 1) & -PADDING_BYTES;
  return padded <= mtu ? padded : Math.max(length, mtu);
}
