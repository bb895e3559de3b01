/**
 * The address that a node has as long as it lives, whatever network it is on: an IPv6 address of our own corner of the
 * unique local ones (RFC 4193), made of the first 64 bits of its id.
 *
 *   fd63:756c:7665:7274 : 64 bits of SHA-256(public key)          the prefix spells "culvert" behind the fd
 *
 * It names a node to people and programs; nothing is routed by it. 64 bits keep honest nodes apart; two that were made to
 * collide cannot be there at once, since the first has the place.
 */

import { decodeBase32 } from "../encoding.ts";
import { formatIp, parseIp } from "../ip.ts";

const PREFIX = [0xfd, 0x63, 0x75, 0x6c, 0x76, 0x65, 0x72, 0x74];

/** Undefined when the text is no node id. */
export function virtualAddressOf(nodeId: string): string | undefined {
  const id = decodeBase32(nodeId);
  return id?.length === 16 ? formatIp(Uint8Array.of(...PREFIX, ...id.subarray(0, 8))) : undefined;
}

/** The one text of an address among the virtual ones, however it was written; undefined for any other. */
export function normalVirtualAddress(text: string): string | undefined {
  const address = parseIp(text);
  if (address?.length !== 16 || PREFIX.some((byte, at) => address[at] !== byte)) return undefined;
  return formatIp(address);
}
