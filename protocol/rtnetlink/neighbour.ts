/**
 * Neighbours: which hardware address an IP address on a network of ours has, as far as the kernel knows.
 *
 *   struct ndmsg: family u8, three unused, link's index i32, state u16, flags u8, type u8; then attributes
 *
 * rtnetlink(7); linux/neighbour.h.
 */

import type { IpAddress } from "../ip.ts";
import {
  AF_INET,
  AF_INET6,
  Attributes,
  type NetlinkMessage,
  NetlinkWriter,
  NLM_F_DUMP,
  NLM_F_REQUEST,
} from "../netlink.ts";
import type { Bytes } from "../primitives.ts";

const RTM_NEWNEIGH = 28;
const RTM_GETNEIGH = 30;

const NDMSG_BYTES = 12;
const NDA_DST = 1;
const NDA_LLADDR = 2;

/** Asked and not answered yet; not heard of for a while; asked in vain. */
const NUD_INCOMPLETE = 0x01;
const NUD_STALE = 0x04;
const NUD_FAILED = 0x20;

export interface Neighbour {
  readonly linkIndex: number;
  readonly address: IpAddress;
  /** `known`: it may be old, but it is what packets are sent to. */
  readonly state: "known" | "asking" | "silent";
  /** It is known from a while ago. The kernel looks whether it still holds when it is sent to by the kernel, and only then. */
  readonly isOld?: true;
  /** Its hardware address; absent as long as it is not known, and where there are none. */
  readonly mac?: Bytes;
}

/** All of a family. */
export function encodeListNeighbours(family: 4 | 6): Bytes {
  return new NetlinkWriter(RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP)
    .raw(family === 4 ? AF_INET : AF_INET6, 0, 0, 0)
    .rawU32(0)
    .rawU32(0)
    .finish();
}

/** The neighbour that a message tells of; undefined for any other message, and for families other than IP. */
export function readNeighbour({ type, payload }: NetlinkMessage): Neighbour | undefined {
  if (type !== RTM_NEWNEIGH || payload.length < NDMSG_BYTES) return undefined;
  const length = payload[0] === AF_INET ? 4 : payload[0] === AF_INET6 ? 16 : 0;
  const attributes = new Attributes(payload, NDMSG_BYTES);
  const address = length === 0 ? undefined : attributes.bytes(NDA_DST, length);
  if (!address) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, NDMSG_BYTES);
  const bits = view.getUint16(8, true);
  const state = bits & NUD_FAILED ? "silent" : bits === 0 || bits & NUD_INCOMPLETE ? "asking" : "known";
  const mac = attributes.bytes(NDA_LLADDR);
  return {
    linkIndex: view.getInt32(4, true),
    address: address.slice(),
    state,
    ...(bits & NUD_STALE) !== 0 && { isOld: true as const },
    ...mac && state === "known" && { mac: mac.slice() },
  };
}
