/**
 * What packets are compared with: addresses, ports, marks, names of interfaces. Each type knows its number and name in
 * `nft`, how wide it is, in which byte order it is compared, and how a value of ours becomes bytes.
 *
 * A value stands for an extent, all from one to another: a network, a range of ports, or one value alone. Only what is
 * compared in network byte order can be more than one value.
 */

import { CulvertError } from "../errors.ts";
import { type Cidr, hostCidr, type IpAddress, networkOf, parseCidr } from "../ip.ts";
import type { Bytes } from "../primitives.ts";

/** Numbers from the first to the last. */
export interface NumberRange {
  readonly from: number;
  readonly to: number;
}

/** Addresses also as text, `10.0.0.0/8`; interfaces also by the beginning of their name, `wg*`. */
export type Value = string | number | NumberRange | IpAddress | Cidr;

export interface Extent {
  readonly from: Bytes;
  readonly to: Bytes;
  /** When it is all that begins with so many bits of `from`. */
  readonly prefixBits?: number;
}

export interface ValueType {
  /** As `nft` calls it. */
  readonly name: string;
  /** As `nft` knows it, for what it lists. */
  readonly number: number;
  readonly bytes: number;
  readonly isNetworkOrder: boolean;
  /** What a good value is, for messages. */
  readonly rule: string;
  /** Undefined when it is not a value of this type. */
  extentOf(value: Value): Extent | undefined;
}

export function extentOf(type: ValueType, value: Value): Extent {
  const extent = type.extentOf(value);
  if (extent) return extent;
  throw new CulvertError("bad_rule", `Cannot build the rule: ${type.name} must be ${type.rule}, got ${show(value)}`);
}

export function isSingle({ from, to }: Extent): boolean {
  return compareBytes(from, to) === 0;
}

export function compareBytes(a: Bytes, b: Bytes): number {
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return a[at]! - b[at]!;
  return 0;
}

/** The bytes as one number plus 1; undefined when there is none above. */
export function nextAfter(bytes: Bytes): Bytes | undefined {
  const next = bytes.slice();
  for (let at = next.length - 1; at >= 0; at--) {
    next[at] = next[at]! + 1;
    if (next[at] !== 0) return next;
  }
  return undefined;
}

/** So many bits set, then zeros. */
export function maskOf(bytes: number, bits: number): Bytes {
  return Uint8Array.from({ length: bytes }, (_, at) => 0xff00 >> Math.min(Math.max(bits - 8 * at, 0), 8) & 0xff);
}

function show(value: Value): string {
  return typeof value === "string" ? `"${value}"` : value instanceof Uint8Array ? `[${value}]` : JSON.stringify(value);
}

function addressType(name: string, number: number, bytes: 4 | 16): ValueType {
  return {
    name,
    number,
    bytes,
    isNetworkOrder: true,
    rule: `an IPv${bytes === 4 ? 4 : 6} address or network`,
    extentOf(value) {
      const network = networkIn(value);
      if (network?.address.length !== bytes) return undefined;
      const from = network.address;
      if (network.bits === 8 * bytes) return { from, to: from };
      const mask = maskOf(bytes, network.bits);
      return { from, to: from.map((byte, at) => byte | ~mask[at]!), prefixBits: network.bits };
    },
  };
}

function networkIn(value: Value): Cidr | undefined {
  if (typeof value === "string") return parseCidr(value);
  if (value instanceof Uint8Array) return hostCidr(value);
  return typeof value === "object" && "bits" in value ? networkOf(value.address, value.bits) : undefined;
}

interface NumberTypeOptions {
  readonly isNetworkOrder?: boolean;
  /** Values that have names. */
  readonly names?: Readonly<Record<string, number>>;
}

function numberType(name: string, number: number, bytes: 1 | 2 | 4, options: NumberTypeOptions = {}): ValueType {
  const { isNetworkOrder = false, names } = options;
  const largest = 2 ** (8 * bytes) - 1;
  const encode = (value: number): Bytes => {
    const word = new Uint8Array(4);
    new DataView(word.buffer).setUint32(0, value);
    const encoded = word.slice(4 - bytes);
    return isNetworkOrder ? encoded : encoded.reverse();
  };
  const isIn = (value: number) => Number.isInteger(value) && value >= 0 && value <= largest;
  return {
    name,
    number,
    bytes,
    isNetworkOrder,
    rule: names ? `one of ${Object.keys(names).join(", ")}` : `a whole number up to ${largest}`,
    extentOf(value) {
      if (names) {
        if (typeof value !== "string" || !Object.hasOwn(names, value)) return undefined;
        value = names[value]!;
      }
      if (typeof value === "number") value = { from: value, to: value };
      if (typeof value !== "object" || !("from" in value)) return undefined;
      const { from, to } = value;
      if (!isIn(from) || !isIn(to) || from > to || (from !== to && !isNetworkOrder)) return undefined;
      return { from: encode(from), to: encode(to) };
    },
  };
}

/** IFNAMSIZ, the final zero included. */
const INTERFACE_NAME_BYTES = 16;
const INTERFACE_NAME = /^[^\s/:*\0]{1,15}$/;

const interfaceName: ValueType = {
  name: "ifname",
  number: 41,
  bytes: INTERFACE_NAME_BYTES,
  // Text has no byte order, but is compared from its first letter on.
  isNetworkOrder: false,
  rule: "the name of an interface, or its beginning and *",
  extentOf(value) {
    if (typeof value !== "string") return undefined;
    const hasStar = value.endsWith("*");
    const name = hasStar ? value.slice(0, -1) : value;
    const text = new TextEncoder().encode(name);
    if (!INTERFACE_NAME.test(name) || text.length >= INTERFACE_NAME_BYTES) return undefined;
    const from = new Uint8Array(INTERFACE_NAME_BYTES);
    from.set(text);
    if (!hasStar) return { from, to: from };
    const to = new Uint8Array(INTERFACE_NAME_BYTES).fill(0xff);
    to.set(text);
    return { from, to, prefixBits: 8 * text.length };
  },
};

export const PROTOCOL_NUMBERS = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;
export type ProtocolName = keyof typeof PROTOCOL_NUMBERS;

/** By the names that `nft` has for them. */
export const valueTypes = {
  ipv4_addr: addressType("ipv4_addr", 7, 4),
  ipv6_addr: addressType("ipv6_addr", 8, 16),
  inet_proto: numberType("inet_proto", 12, 1, { isNetworkOrder: true, names: PROTOCOL_NUMBERS }),
  inet_service: numberType("inet_service", 13, 2, { isNetworkOrder: true }),
  mark: numberType("mark", 19, 4),
  uid: numberType("uid", 24, 4),
  gid: numberType("gid", 25, 4),
  icmp_type: numberType("icmp_type", 14, 1, { isNetworkOrder: true }),
  icmpv6_type: numberType("icmpv6_type", 29, 1, { isNetworkOrder: true }),
  fib_addrtype: numberType("fib_addrtype", 38, 4, {
    names: { unicast: 1, local: 2, broadcast: 3, anycast: 4, multicast: 5, blackhole: 6, unreachable: 7, prohibit: 8 },
  }),
  ifname: interfaceName,
} as const satisfies Record<string, ValueType>;

export type ValueTypeName = keyof typeof valueTypes;
