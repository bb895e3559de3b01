/**
 * Routes: added, removed, listed, and looked up as the kernel would for a packet.
 *
 *   struct rtmsg: family, bits of destination, bits of source, tos, table, protocol, scope, type: u8 each, flags u32;
 *   then attributes
 *
 * rtnetlink(7); linux/rtnetlink.h. Routes with several next hops are read without them.
 */

import type { Cidr, IpAddress } from "../ip.ts";
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
  NLM_F_REPLACE,
  NLM_F_REQUEST,
} from "../netlink.ts";
import type { Bytes } from "../primitives.ts";

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;

const RTMSG_BYTES = 12;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_TABLE = 15;
const RTA_MARK = 16;
const RTAX_MTU = 2;

export const MAIN_TABLE = 254;
/** "Any other way it came there", which is what the commands of people leave too. */
const RTPROT_BOOT = 3;
const RTM_F_LOOKUP_TABLE = 0x1000;

/** `unreachable`: whoever sends there is told at once. */
export const RouteType = { unicast: 1, local: 2, unreachable: 7 } as const;

export const RouteScope = { universe: 0, site: 200, link: 253, host: 254, nowhere: 255 } as const;

export interface Route {
  readonly destination: Cidr;
  /** The link it goes out by. */
  readonly linkIndex?: number;
  readonly gateway?: IpAddress;
  /** Default: the main one. */
  readonly table?: number;
  readonly metric?: number;
  /** Default: that of the link for IPv4 without a gateway, otherwise the universe. */
  readonly scope?: number;
  /** The largest packet by this route, where the route itself says so. */
  readonly mtu?: number;
  /** The address packets leave from unless their socket has one. */
  readonly source?: IpAddress;
  /** Default when adding: a plain one. */
  readonly type?: number;
}

export interface RouteFilter {
  readonly family: 4 | 6;
  readonly table?: number;
  readonly linkIndex?: number;
}

function tableByte(table: number): number {
  return table < 256 ? table : 0;
}

export function encodeAddRoute(route: Route, { replace = false }: { replace?: boolean } = {}): Bytes {
  const { destination, gateway, scope, type = RouteType.unicast } = route;
  const isOnLink = destination.address.length === 4 && !gateway && type === RouteType.unicast;
  const flags = NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL);
  return encodeRoute(RTM_NEWROUTE, flags, route, [
    RTPROT_BOOT,
    scope ?? (isOnLink ? RouteScope.link : RouteScope.universe),
    type,
  ]);
}

/** Removes the first route that is all that is said here. */
export function encodeRemoveRoute(route: Route): Bytes {
  return encodeRoute(RTM_DELROUTE, 0, route, [0, route.scope ?? RouteScope.nowhere, 0]);
}

function encodeRoute(type: number, flags: number, route: Route, kind: readonly [number, number, number]): Bytes {
  const { destination, linkIndex, gateway, table = MAIN_TABLE, metric, mtu, source } = route;
  const writer = new NetlinkWriter(type, NLM_F_REQUEST | NLM_F_ACK | flags)
    .raw(familyOf(destination.address), destination.bits, 0, 0, tableByte(table), ...kind)
    .rawU32(0);
  if (destination.bits > 0) writer.bytes(RTA_DST, destination.address);
  if (gateway) writer.bytes(RTA_GATEWAY, gateway);
  if (source) writer.bytes(RTA_PREFSRC, source);
  if (table > 255) writer.u32(RTA_TABLE, table);
  if (metric !== undefined) writer.u32(RTA_PRIORITY, metric);
  if (linkIndex !== undefined) writer.u32(RTA_OIF, linkIndex);
  if (mtu !== undefined) {
    const metrics = writer.begin(RTA_METRICS);
    writer.u32(RTAX_MTU, mtu).end(metrics);
  }
  return writer.finish();
}

/** Kernels before 4.20 do not heed table and link, so what comes is to be filtered again. */
export function encodeListRoutes({ family, table, linkIndex }: RouteFilter): Bytes {
  const writer = new NetlinkWriter(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP)
    .raw(family === 4 ? AF_INET : AF_INET6, 0, 0, 0, 0, 0, 0, 0)
    .rawU32(0);
  if (table !== undefined) writer.u32(RTA_TABLE, table);
  if (linkIndex !== undefined) writer.u32(RTA_OIF, linkIndex);
  return writer.finish();
}

/** Asks by which route a packet to this address would go. */
export function encodeRouteTo(address: IpAddress, { fwmark }: { fwmark?: number } = {}): Bytes {
  const writer = new NetlinkWriter(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_ACK)
    .raw(familyOf(address), address.length * 8, 0, 0, 0, 0, 0, 0)
    // IPv6 names the table unasked, and takes no flags from those who want to be checked strictly.
    .rawU32(address.length === 4 ? RTM_F_LOOKUP_TABLE : 0)
    .bytes(RTA_DST, address);
  return fwmark === undefined ? writer.finish() : writer.u32(RTA_MARK, fwmark).finish();
}

/** The route that a message tells of; undefined for any other message, and for families other than IP. */
export function readRoute({ type, payload }: NetlinkMessage): Route | undefined {
  if (type !== RTM_NEWROUTE || payload.length < RTMSG_BYTES) return undefined;
  const family = payload[0];
  const bits = payload[1]!;
  const length = family === AF_INET ? 4 : family === AF_INET6 ? 16 : 0;
  if (length === 0 || bits > length * 8) return undefined;
  const attributes = new Attributes(payload, RTMSG_BYTES);
  const address = attributes.bytes(RTA_DST, length)?.slice() ?? new Uint8Array(length);
  const linkIndex = attributes.u32(RTA_OIF);
  const gateway = attributes.bytes(RTA_GATEWAY, length);
  const metric = attributes.u32(RTA_PRIORITY);
  const mtu = attributes.nested(RTA_METRICS).u32(RTAX_MTU);
  const source = attributes.bytes(RTA_PREFSRC, length);
  return {
    destination: { address, bits },
    ...linkIndex !== undefined && { linkIndex },
    ...gateway && { gateway: gateway.slice() },
    table: attributes.u32(RTA_TABLE) ?? payload[4]!,
    ...metric !== undefined && { metric },
    scope: payload[6]!,
    ...mtu !== undefined && { mtu },
    ...source && { source: source.slice() },
    type: payload[7]!,
  };
}
