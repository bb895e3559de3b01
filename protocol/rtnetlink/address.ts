/**
 * Addresses of links: added, removed, listed.
 *
 *   struct ifaddrmsg: family u8, prefix length u8, flags u8, scope u8, link's index u32; then attributes
 *
 * rtnetlink(7); linux/if_addr.h.
 */

import type { IpAddress } from "../ip.ts";
import {
  AF_INET,
  AF_INET6,
  Attributes,
  familyOf,
  type NetlinkMessage,
  NetlinkWriter,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REQUEST,
} from "../netlink.ts";
import type { Bytes } from "../primitives.ts";

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;

const IFADDRMSG_BYTES = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
/** Do not ask the link first whether somebody has it, which makes an IPv6 address unusable meanwhile. */
const IFA_F_NODAD = 0x02;

/** An address that a link has, and how many of its bits are the network's. */
export interface LinkAddress {
  readonly linkIndex: number;
  readonly address: IpAddress;
  readonly bits: number;
}

/** Ours are all of tunnels, where nobody else is; so those of IPv6 can be used at once. */
export function encodeAddAddress(address: LinkAddress): Bytes {
  return encodeAddress(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, address);
}

export function encodeRemoveAddress(address: LinkAddress): Bytes {
  return encodeAddress(RTM_DELADDR, 0, address);
}

function encodeAddress(type: number, flags: number, { linkIndex, address, bits }: LinkAddress): Bytes {
  return new NetlinkWriter(type, NLM_F_REQUEST | NLM_F_ACK | flags)
    .raw(familyOf(address), bits, address.length === 16 ? IFA_F_NODAD : 0, 0)
    .rawU32(linkIndex)
    .bytes(IFA_LOCAL, address)
    .bytes(IFA_ADDRESS, address)
    .finish();
}

export function encodeListAddresses(): Bytes {
  return new NetlinkWriter(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP).rawU32(0).rawU32(0).finish();
}

/** The address that a message tells of; undefined for any other message. */
export function readAddress({ type, payload }: NetlinkMessage): LinkAddress | undefined {
  if (type !== RTM_NEWADDR || payload.length < IFADDRMSG_BYTES) return undefined;
  const family = payload[0];
  const bits = payload[1]!;
  const length = family === AF_INET ? 4 : family === AF_INET6 ? 16 : 0;
  const attributes = new Attributes(payload, IFADDRMSG_BYTES);
  // Where both are there, LOCAL is ours and ADDRESS the far end's of a point-to-point link.
  const address = attributes.bytes(IFA_LOCAL, length) ?? attributes.bytes(IFA_ADDRESS, length);
  if (!address || length === 0 || bits > length * 8) return undefined;
  const linkIndex = new DataView(payload.buffer, payload.byteOffset).getUint32(4, true);
  return { linkIndex, address: address.slice(), bits };
}
