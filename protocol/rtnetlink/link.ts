/**
 * Links, which are what Linux calls network interfaces: made, changed, removed, listed.
 *
 *   struct ifinfomsg: family u8, pad u8, type u16, index i32, flags u32, mask of flags to change u32; then attributes
 *
 * rtnetlink(7); linux/if_link.h.
 */

import {
  Attributes,
  type NetlinkMessage,
  NetlinkWriter,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REQUEST,
} from "../netlink.ts";
import type { Bytes } from "../primitives.ts";

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
/** The multicast group that tells of links, as a bit of an address. */
export const RTMGRP_LINK = 1;

const IFINFOMSG_BYTES = 16;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINKINFO = 18;
const IFLA_IFALIAS = 20;
const IFLA_NET_NS_FD = 28;
const IFLA_EXT_MASK = 29;
const IFLA_INFO_KIND = 1;
const RTEXT_FILTER_SKIP_STATS = 8;

const IFF_UP = 1;
/** linux/if_arp.h */
const ARPHRD_ETHER = 1;
const ARPHRD_LOOPBACK = 772;

/** What a name may be: IFNAMSIZ with its zero byte, of visible ASCII but the slash and the colon, and no path. */
const LINK_NAME = /^(?!\.{1,2}$)[!-.0-9;-~]{1,15}$/;

export interface Link {
  readonly index: number;
  readonly name: string;
  /** `wireguard`, `tun`, `veth`…; absent for hardware and loopback. */
  readonly kind?: string;
  /** What was written on it: `culvert` marks ours. */
  readonly alias?: string;
  readonly mtu: number;
  readonly isUp: boolean;
}

export interface NewLink {
  readonly name: string;
  readonly kind: string;
  readonly mtu?: number;
}

/** What to change; what is left out stays as it is. */
export interface LinkChange {
  readonly up?: boolean;
  readonly mtu?: number;
  readonly alias?: string;
  /** Moves it into the network namespace that this open file is. */
  readonly namespaceFd?: number;
}

export type LinkEvent =
  | { readonly kind: "set"; readonly link: Link }
  | { readonly kind: "removed"; readonly link: Link }
  /** There were more than could be kept: look again. */
  | { readonly kind: "missed" };

/** Whether the kernel takes it as the name of a link. */
export function isLinkName(text: string): boolean {
  return LINK_NAME.test(text);
}

function linkWriter(type: number, flags: number, index: number, up?: boolean): NetlinkWriter {
  const writer = new NetlinkWriter(type, NLM_F_REQUEST | flags).rawU32(0).rawU32(index);
  return writer.rawU32(up ? IFF_UP : 0).rawU32(up === undefined ? 0 : IFF_UP);
}

export function encodeCreateLink({ name, kind, mtu }: NewLink): Bytes {
  const writer = linkWriter(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, 0).text(IFLA_IFNAME, name);
  if (mtu !== undefined) writer.u32(IFLA_MTU, mtu);
  const info = writer.begin(IFLA_LINKINFO);
  return writer.bytes(IFLA_INFO_KIND, new TextEncoder().encode(kind)).end(info).finish();
}

export function encodeChangeLink(index: number, { up, mtu, alias, namespaceFd }: LinkChange): Bytes {
  const writer = linkWriter(RTM_NEWLINK, NLM_F_ACK, index, up);
  if (mtu !== undefined) writer.u32(IFLA_MTU, mtu);
  if (alias !== undefined) writer.bytes(IFLA_IFALIAS, new TextEncoder().encode(alias));
  if (namespaceFd !== undefined) writer.u32(IFLA_NET_NS_FD, namespaceFd);
  return writer.finish();
}

export function encodeRemoveLink(index: number): Bytes {
  return linkWriter(RTM_DELLINK, NLM_F_ACK, index).finish();
}

export function encodeGetLink(which: string | number): Bytes {
  const writer = linkWriter(RTM_GETLINK, NLM_F_ACK, typeof which === "number" ? which : 0);
  writer.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return typeof which === "string" ? writer.text(IFLA_IFNAME, which).finish() : writer.finish();
}

export function encodeListLinks(): Bytes {
  return linkWriter(RTM_GETLINK, NLM_F_DUMP, 0).u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS).finish();
}

/** The link that a message tells of; undefined for any other message. */
export function readLink({ type, payload }: NetlinkMessage): Link | undefined {
  if ((type !== RTM_NEWLINK && type !== RTM_DELLINK) || payload.length < IFINFOMSG_BYTES) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, IFINFOMSG_BYTES);
  const attributes = new Attributes(payload, IFINFOMSG_BYTES);
  const name = attributes.text(IFLA_IFNAME);
  if (name === undefined) return undefined;
  const kind = attributes.nested(IFLA_LINKINFO).text(IFLA_INFO_KIND);
  const alias = attributes.text(IFLA_IFALIAS);
  return {
    index: view.getInt32(4, true),
    name,
    ...kind !== undefined && { kind },
    ...alias !== undefined && { alias },
    mtu: attributes.u32(IFLA_MTU) ?? 0,
    isUp: (view.getUint32(8, true) & IFF_UP) !== 0,
  };
}

/** How a link is spoken to by those who make its packets themselves. */
export interface LinkHardware {
  readonly kind: "ethernet" | "loopback" | "other";
  /** Its own hardware address; absent where it has none, as tunnels do. */
  readonly mac?: Bytes;
}

/** The hardware of the link that a message tells of; undefined for any other message. */
export function readLinkHardware({ type, payload }: NetlinkMessage): LinkHardware | undefined {
  if (type !== RTM_NEWLINK || payload.length < IFINFOMSG_BYTES) return undefined;
  const hardware = payload[2]! | payload[3]! << 8;
  const kind = hardware === ARPHRD_ETHER ? "ethernet" : hardware === ARPHRD_LOOPBACK ? "loopback" : "other";
  const mac = new Attributes(payload, IFINFOMSG_BYTES).bytes(IFLA_ADDRESS);
  return { kind, ...mac && kind !== "other" && { mac: mac.slice() } };
}

/** What a message of the group of links tells; undefined for any other message. */
export function readLinkEvent(message: NetlinkMessage): LinkEvent | undefined {
  const link = readLink(message);
  return link && { kind: message.type === RTM_NEWLINK ? "set" : "removed", link };
}
