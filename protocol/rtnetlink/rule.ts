/**
 * Routing rules, which say in which table a packet's route is looked up: added, removed, listed.
 *
 *   struct fib_rule_hdr: family, bits of destination, bits of source, tos, table, two unused, action: u8 each,
 *   flags u32; then attributes
 *
 * linux/fib_rules.h. Only what a default route through a tunnel needs: the firewall mark, its opposite, the suppression
 * of short prefixes; a destination, a port, the interface that a socket is bound to.
 */

import type { Cidr } from "../ip.ts";
import {
  AF_INET,
  AF_INET6,
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

const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTM_GETRULE = 34;

const RULE_HEADER_BYTES = 12;
const FRA_DST = 1;
const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_SUPPRESS_PREFIXLEN = 14;
const FRA_TABLE = 15;
const FRA_OIFNAME = 17;
const FRA_IP_PROTO = 22;
const FRA_DPORT_RANGE = 24;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const FR_ACT_TO_TBL = 1;
const FIB_RULE_INVERT = 2;
/** How the kernel lists "no suppression". */
const NO_SUPPRESSION = 0xffffffff;

export interface Rule {
  readonly family: 4 | 6;
  readonly table: number;
  /** Lower ones come first. When adding, the default is just before all but the first. */
  readonly priority?: number;
  /** For packets with this firewall mark. */
  readonly fwmark?: number;
  /** For all packets but those. */
  readonly not?: boolean;
  /** Take no route from the table whose prefix is this short or shorter: 0 passes over default routes. */
  readonly suppressPrefixLength?: number;
  /** For packets that go there. */
  readonly destination?: Cidr;
  /** For TCP to this port alone. Since Linux 4.17. */
  readonly tcpPort?: number;
  /** For UDP to this port alone, instead. */
  readonly udpPort?: number;
  /** For packets of sockets that are bound to this interface. */
  readonly boundTo?: string;
}

export function encodeAddRule(rule: Rule): Bytes {
  return encodeRule(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
}

/** Removes the first rule that is all that is said here. */
export function encodeRemoveRule(rule: Rule): Bytes {
  return encodeRule(RTM_DELRULE, 0, rule);
}

function encodeRule(type: number, flags: number, rule: Rule): Bytes {
  const { family, table, priority, fwmark, not = false, suppressPrefixLength, destination, tcpPort, udpPort, boundTo } =
    rule;
  const port = tcpPort ?? udpPort;
  const writer = new NetlinkWriter(type, NLM_F_REQUEST | NLM_F_ACK | flags)
    .raw(family === 4 ? AF_INET : AF_INET6, destination?.bits ?? 0, 0, 0, table < 256 ? table : 0, 0, 0, FR_ACT_TO_TBL)
    .rawU32(not ? FIB_RULE_INVERT : 0);
  if (destination && destination.bits > 0) writer.bytes(FRA_DST, destination.address);
  if (boundTo !== undefined) writer.text(FRA_OIFNAME, boundTo);
  if (port !== undefined) {
    writer.u8(FRA_IP_PROTO, tcpPort === undefined ? IPPROTO_UDP : IPPROTO_TCP)
      .bytes(FRA_DPORT_RANGE, new Uint8Array(new Uint16Array([port, port]).buffer));
  }
  if (priority !== undefined) writer.u32(FRA_PRIORITY, priority);
  if (fwmark !== undefined) writer.u32(FRA_FWMARK, fwmark);
  if (table > 255) writer.u32(FRA_TABLE, table);
  if (suppressPrefixLength !== undefined) writer.u32(FRA_SUPPRESS_PREFIXLEN, suppressPrefixLength);
  return writer.finish();
}

export function encodeListRules(family: 4 | 6): Bytes {
  return new NetlinkWriter(RTM_GETRULE, NLM_F_REQUEST | NLM_F_DUMP)
    .raw(family === 4 ? AF_INET : AF_INET6, 0, 0, 0, 0, 0, 0, 0)
    .rawU32(0)
    .finish();
}

/** The rule that a message tells of; undefined for any other message, and for rules that do more than choose a table. */
export function readRule({ type, payload }: NetlinkMessage): Rule | undefined {
  if (type !== RTM_NEWRULE || payload.length < RULE_HEADER_BYTES) return undefined;
  const family = payload[0] === AF_INET ? 4 : payload[0] === AF_INET6 ? 6 : undefined;
  if (family === undefined || payload[7] !== FR_ACT_TO_TBL) return undefined;
  const attributes = new Attributes(payload, RULE_HEADER_BYTES);
  const fwmark = attributes.u32(FRA_FWMARK);
  const suppressPrefixLength = attributes.u32(FRA_SUPPRESS_PREFIXLEN);
  const address = attributes.bytes(FRA_DST, family === 4 ? 4 : 16);
  const boundTo = attributes.text(FRA_OIFNAME);
  const protocol = attributes.u8(FRA_IP_PROTO);
  const ports = attributes.bytes(FRA_DPORT_RANGE, 4);
  const port = ports && (ports[0]! | (ports[1]! << 8));
  const isNot = new DataView(payload.buffer, payload.byteOffset).getUint32(8, true) & FIB_RULE_INVERT;
  return {
    family,
    table: attributes.u32(FRA_TABLE) ?? payload[4]!,
    priority: attributes.u32(FRA_PRIORITY) ?? 0,
    ...fwmark !== undefined && { fwmark },
    ...isNot !== 0 && { not: true },
    ...suppressPrefixLength !== undefined && suppressPrefixLength !== NO_SUPPRESSION && { suppressPrefixLength },
    ...address && { destination: { address: address.slice(), bits: payload[1]! } },
    ...port !== undefined && protocol === IPPROTO_TCP && { tcpPort: port },
    ...port !== undefined && protocol === IPPROTO_UDP && { udpPort: port },
    ...boundTo !== undefined && { boundTo },
  };
}
