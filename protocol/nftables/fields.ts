/**
 * What a rule can look at in a packet. Each is a function that makes a clause from what it is to be:
 *
 *   ip.saddr("10.0.0.0/8")                          one value, a network, a range
 *   tcp.dport([22, { from: 80, to: 90 }])           any of several
 *   ip.daddr({ inSet: "allowed" })                  any that a set of the table holds
 *   oifname(not("eth0"))                            anything but that
 *   mark(masked(0x100, 0xff00))                     some of its bits
 */

import { CulvertError } from "../errors.ts";
import type { Cidr, IpAddress } from "../ip.ts";
import { AF_INET, AF_INET6, familyOf } from "../netlink.ts";
import type { Bytes } from "../primitives.ts";
import {
  compare,
  Comparison,
  CtKey,
  type Expression,
  FibFlag,
  loadCt,
  loadFibType,
  loadMeta,
  loadPayload,
  lookup,
  mask,
  MetaKey,
  outsideRange,
  PayloadBase,
} from "./expressions.ts";
import type { Clause, Needs, RuleSets } from "./rule.ts";
import {
  type Extent,
  extentOf,
  isSingle,
  maskOf,
  type NumberRange,
  PROTOCOL_NUMBERS,
  type ProtocolName,
  type Value,
  type ValueType,
  valueTypes,
} from "./values.ts";

/** A set of the table, by its name. */
export interface InSet {
  readonly inSet: string;
}

type Choice<V> = V | readonly V[] | InSet;

export interface Not<C> {
  readonly not: C;
}

/** The bits of `mask` are those of `value`. */
export interface Masked {
  readonly value: number;
  readonly mask: number;
}

export type Operand<V> = Choice<V> | Not<Choice<V>>;

export function not<C>(choice: C): Not<C> {
  return { not: choice };
}

export function masked(value: number, mask: number): Masked {
  return { value, mask };
}

/** A field by itself, for what looks it up or copies it. */
export interface FieldSource {
  readonly type: ValueType;
  readonly needs?: Needs;
  /** All of it, or its first bytes. */
  load(bytes?: number): Expression;
}

export type Field<V> = ((operand: Operand<V>) => Clause) & { readonly source: FieldSource };

function field<V extends Value>(source: FieldSource): Field<V> {
  return Object.assign((operand: Operand<V>) => matching(source, operand), { source });
}

function matching(source: FieldSource, operand: Operand<Value>): Clause {
  const isNot = typeof operand === "object" && "not" in operand;
  const choice = isNot ? operand.not : operand;
  return clauseOf(source, matchChoice(source, choice, isNot));
}

type Expressions = (sets: RuleSets) => readonly Expression[];

function clauseOf({ needs }: FieldSource, expressions: Expressions): Clause {
  return { ...needs && { needs }, expressions };
}

function matchChoice(source: FieldSource, choice: Choice<Value>, isNot: boolean): Expressions {
  if (typeof choice === "object" && "inSet" in choice) {
    return (sets) => [source.load(), lookup(sets.named(choice.inSet), { isNot })];
  }
  const { type } = source;
  if (!Array.isArray(choice)) {
    const expressions = matchExtent(source, extentOf(type, choice as Value), isNot);
    return () => expressions;
  }
  if (choice.length === 0) {
    throw new CulvertError("bad_rule", `Cannot build the rule: of ${type.name} there must be at least one, got none`);
  }
  const elements = choice.map((value: Value): readonly [Extent] => [extentOf(type, value)]);
  if (elements.some(([extent]) => !isSingle(extent)) && !type.isNetworkOrder) {
    throw new CulvertError("bad_rule", `Cannot build the rule: each ${type.name} of several must be a single value`);
  }
  return (sets) => [source.load(), lookup(sets.anonymous({ type, elements }), { isNot })];
}

function matchExtent(source: FieldSource, extent: Extent, isNot: boolean): Expression[] {
  const { from, to, prefixBits } = extent;
  const operation = isNot ? Comparison.notEqual : Comparison.equal;
  if (prefixBits !== undefined) return matchPrefix(source, { from, prefixBits }, operation);
  if (isSingle(extent)) return [source.load(), compare(operation, from)];
  if (isNot) return [source.load(), outsideRange(from, to)];
  return [source.load(), compare(Comparison.notBelow, from), compare(Comparison.notAbove, to)];
}

/** Whole bytes are compared alone; other prefixes through a mask. */
function matchPrefix(
  source: FieldSource,
  { from, prefixBits }: { from: Bytes; prefixBits: number },
  operation: number,
) {
  if (prefixBits % 8 === 0 && prefixBits > 0) {
    const bytes = prefixBits / 8;
    return [source.load(bytes), compare(operation, from.slice(0, bytes))];
  }
  return [source.load(), mask(maskOf(from.length, prefixBits)), compare(operation, from)];
}

type AddressValue = string | IpAddress | Cidr;
type NumberValue = number | NumberRange;

interface HeaderPlace {
  readonly base: number;
  readonly offset: number;
  readonly needs: Needs;
}

function inHeader<V extends Value>(type: ValueType, { base, offset, needs }: HeaderPlace): Field<V> {
  return field({ type, needs, load: (bytes = type.bytes) => loadPayload(base, offset, bytes) });
}

function inMeta<V extends Value>(type: ValueType, key: number): Field<V> {
  return field({ type, load: () => loadMeta(key) });
}

const { network, transport } = PayloadBase;
const isIpv4: Needs = { nfproto: AF_INET };
const isIpv6: Needs = { nfproto: AF_INET6 };

export const ip = {
  saddr: inHeader<AddressValue>(valueTypes.ipv4_addr, { base: network, offset: 12, needs: isIpv4 }),
  daddr: inHeader<AddressValue>(valueTypes.ipv4_addr, { base: network, offset: 16, needs: isIpv4 }),
} as const;

export const ip6 = {
  saddr: inHeader<AddressValue>(valueTypes.ipv6_addr, { base: network, offset: 8, needs: isIpv6 }),
  daddr: inHeader<AddressValue>(valueTypes.ipv6_addr, { base: network, offset: 24, needs: isIpv6 }),
} as const;

/** `ip` or `ip6`, whichever an address or network is of. */
export function ipOf(address: IpAddress | Cidr): typeof ip | typeof ip6 {
  return familyOf("bits" in address ? address.address : address) === AF_INET ? ip : ip6;
}

function ports(protocol: ProtocolName) {
  const needs = { l4proto: PROTOCOL_NUMBERS[protocol] };
  return {
    sport: inHeader<NumberValue>(valueTypes.inet_service, { base: transport, offset: 0, needs }),
    dport: inHeader<NumberValue>(valueTypes.inet_service, { base: transport, offset: 2, needs }),
  } as const;
}

const TCP_FLAGS = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32 } as const;
export type TcpFlag = keyof typeof TCP_FLAGS;
const TCP_FLAGS_OFFSET = 13;

/** Of the flags `of`, those in `set` are set and the others are not; without `of` the others may be anything. */
function tcpFlags({ set, of = set }: { readonly set: readonly TcpFlag[]; readonly of?: readonly TcpFlag[] }): Clause {
  const bitsOf = (flags: readonly TcpFlag[]) => flags.reduce((bits, flag) => bits | TCP_FLAGS[flag], 0);
  const wanted = Uint8Array.of(bitsOf(set));
  return {
    needs: { l4proto: PROTOCOL_NUMBERS.tcp },
    expressions: () => [
      loadPayload(transport, TCP_FLAGS_OFFSET, 1),
      mask(Uint8Array.of(bitsOf(of))),
      compare(Comparison.equal, wanted),
    ],
  };
}

export const tcp = { ...ports("tcp"), flags: tcpFlags } as const;
export const udp = ports("udp");

export const icmp = {
  type: inHeader<number>(valueTypes.icmp_type, {
    base: transport,
    offset: 0,
    needs: { ...isIpv4, l4proto: PROTOCOL_NUMBERS.icmp },
  }),
} as const;

export const icmpv6 = {
  type: inHeader<number>(valueTypes.icmpv6_type, {
    base: transport,
    offset: 0,
    needs: { ...isIpv6, l4proto: PROTOCOL_NUMBERS.icmpv6 },
  }),
} as const;

/** The interface it came in by, by name or `wg*`. */
export const iifname = inMeta<string>(valueTypes.ifname, MetaKey.iifname);
/** The interface it leaves by. */
export const oifname = inMeta<string>(valueTypes.ifname, MetaKey.oifname);
/** Who owns the socket that sent it; only on the way out. */
export const skuid = inMeta<number>(valueTypes.uid, MetaKey.skuid);
export const skgid = inMeta<number>(valueTypes.gid, MetaKey.skgid);

/** Only packets of IPv4, or of IPv6. */
export function family(version: 4 | 6): Clause {
  return { needs: version === 4 ? isIpv4 : isIpv6, expressions: () => [] };
}

/** The protocol inside IP: one, or any of several. */
export function l4proto(protocol: ProtocolName | readonly ProtocolName[]): Clause {
  if (typeof protocol === "string") return { needs: { l4proto: PROTOCOL_NUMBERS[protocol] }, expressions: () => [] };
  return anyProtocol(protocol);
}

const anyProtocol = inMeta<string>(valueTypes.inet_proto, MetaKey.l4proto);

export type MarkField = ((operand: Operand<number> | Masked) => Clause) & { readonly source: FieldSource };

function markField(load: () => Expression): MarkField {
  const source: FieldSource = { type: valueTypes.mark, load };
  const whole = field<number>(source);
  return Object.assign((operand: Operand<number> | Masked): Clause => {
    if (typeof operand !== "object" || !("mask" in operand)) return whole(operand);
    const [bits, wanted] = [operand.mask, operand.value].map((value) => extentOf(source.type, value).from) as [
      Bytes,
      Bytes,
    ];
    return clauseOf(source, () => [load(), mask(bits), compare(Comparison.equal, wanted)]);
  }, { source });
}

/** The packet's firewall mark. */
export const mark = markField(() => loadMeta(MetaKey.mark));

const CT_STATES = { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 } as const;
const CT_STATUSES = { snat: 16, dnat: 32 } as const;

function anyBit(key: number, bits: number): Clause {
  const wanted = new Uint8Array(4);
  new DataView(wanted.buffer).setUint32(0, bits, true);
  return { expressions: () => [loadCt(key), mask(wanted), compare(Comparison.notEqual, new Uint8Array(4))] };
}

/** What the kernel remembers of the packet's connection. */
export const ct = {
  /** It is in any of these states. */
  state: (...states: readonly (keyof typeof CT_STATES)[]): Clause =>
    anyBit(CtKey.state, states.reduce((bits, state) => bits | CT_STATES[state], 0)),
  /** Its source or destination has been changed. */
  status: (status: keyof typeof CT_STATUSES): Clause => anyBit(CtKey.status, CT_STATUSES[status]),
  mark: markField(() => loadCt(CtKey.mark)),
} as const;

/** What this machine's routes make of an address: `local`, `broadcast`, `multicast`, `unicast`, … */
export const fib = {
  saddr: field<string>({ type: valueTypes.fib_addrtype, load: () => loadFibType(FibFlag.saddr) }),
  daddr: field<string>({ type: valueTypes.fib_addrtype, load: () => loadFibType(FibFlag.daddr) }),
} as const;
