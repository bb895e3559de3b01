/**
 * What a rule can do with a packet: count it, limit how many pass, change it, and decide about it.
 */

import { CulvertError } from "../errors.ts";
import { AF_INET, AF_INET6, familyOf } from "../netlink.ts";
import type { Bytes } from "../primitives.ts";
import {
  connectionLimit,
  counter as counterExpression,
  CtKey,
  type Expression,
  immediate,
  immediateVerdict,
  limit as limitExpression,
  loadRouteMss,
  lookup as lookupExpression,
  masquerade as masqueradeExpression,
  MetaKey,
  nat,
  NatFlag,
  NatType,
  notrack as notrackExpression,
  redirect as redirectExpression,
  reject as rejectExpression,
  setCt,
  setMeta,
  toNetworkOrder,
  updateSet,
  type Verdict,
  VerdictCode,
  writeMaxseg,
} from "./expressions.ts";
import { type Field, type FieldSource, tcp } from "./fields.ts";
import type { Clause, RuleSets } from "./rule.ts";
import { dataOf, type MapValue } from "./sets.ts";
import { type Extent, extentOf, isSingle, type Value, type ValueType, valueTypes } from "./values.ts";

/** Ends the rule, as a clause or as what a verdict map gives. */
export interface VerdictClause extends Clause {
  readonly verdict: Verdict;
}

function verdictClause(verdict: Verdict): VerdictClause {
  return { verdict, expressions: () => [immediateVerdict(verdict)] };
}

/** To the next table that sees it; this one is done with it. */
export function accept(): VerdictClause {
  return verdictClause({ code: VerdictCode.accept });
}

export function drop(): VerdictClause {
  return verdictClause({ code: VerdictCode.drop });
}

/** To another chain of the table, and back here if that decides nothing. */
export function jump(chain: string): VerdictClause {
  return verdictClause({ code: VerdictCode.jump, chain });
}

/** To another chain of the table, for good. */
export function goto(chain: string): VerdictClause {
  return verdictClause({ code: VerdictCode.goto, chain });
}

/** Back to where this chain was jumped to from; from a chain at a hook, to its policy. */
export function returning(): VerdictClause {
  return verdictClause({ code: VerdictCode.return });
}

const REJECTIONS = {
  "no-route": [2, 0],
  "port-unreachable": [2, 1],
  "host-unreachable": [2, 2],
  "admin-prohibited": [2, 3],
  "tcp reset": [1, 0],
} as const;

/** Drops it and says so to its sender, by ICMP or, for TCP alone, a reset. */
export function reject(how: keyof typeof REJECTIONS = "port-unreachable"): Clause {
  const [type, code] = REJECTIONS[how];
  const needs = how === "tcp reset" ? { needs: { l4proto: 6 } } : {};
  return { ...needs, expressions: () => [rejectExpression(type, code)] };
}

/** Counts what has come this far in the rule. */
export function counter(): Clause {
  return { expressions: () => [counterExpression()] };
}

const SECONDS = { second: 1, minute: 60, hour: 3600, day: 86_400 } as const;
/** What `nft` takes when nothing is said. */
const DEFAULT_BURST_PACKETS = 5;
const MAX_BURST = 2 ** 32 - 1;

export type Rate = {
  readonly per: keyof typeof SECONDS;
  /** How many may come at once after a pause, beyond the rate; of bytes, on top of what one `per` allows. */
  readonly burst?: number;
  /** Match what exceeds the rate instead of what keeps to it. */
  readonly over?: boolean;
} & ({ readonly packets: number } | { readonly bytes: number });

/** True of as many packets, or of packets with as many bytes, as the rate says. */
export function limit(rate: Rate): Clause {
  const isBytes = "bytes" in rate;
  const amount = isBytes ? rate.bytes : rate.packets;
  const burst = rate.burst ?? (isBytes ? 0 : DEFAULT_BURST_PACKETS);
  requireWhole("rate", amount, Number.MAX_SAFE_INTEGER);
  if (burst !== 0) requireWhole("burst", burst, MAX_BURST);
  const { per, over: isOver = false } = rate;
  return { expressions: () => [limitExpression({ isBytes, amount, perSeconds: SECONDS[per], burst, isOver })] };
}

function requireWhole(what: string, value: number, largest: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= largest) return;
  throw new CulvertError(
    "bad_rule",
    `Cannot build the limit: its ${what} must be a whole number from 1 to ${largest}, got ${value}`,
  );
}

/** True of a packet with which more connections than these are there; the one it begins counts. Since Linux 4.18. */
export function connections({ over }: { readonly over: number }): Clause {
  requireWhole("number of connections", over, MAX_BURST);
  return { expressions: () => [connectionLimit(over)] };
}

/**
 * `limit`, `connections` or `counter` for each value of a field by itself, which are kept in a dynamic set of the table:
 *
 *   rule(meter("clients", ip.saddr, limit({ bytes: 1_000_000, per: "second", over: true })), drop())
 *
 * Where the set is full, new values do not match: to be safe from that, accept what is within and drop the rest.
 */
export function meter<V>(set: string, field: Field<V>, each: Clause): Clause {
  const { source } = field;
  return {
    ...source.needs && { needs: source.needs },
    expressions(sets) {
      const one = onlyOne(each.expressions(sets));
      return [source.load(), updateSet(sets.named(set), one)];
    },
  };
}

function onlyOne([first, ...others]: readonly Expression[]): Expression {
  if (first && others.length === 0) return first;
  throw new CulvertError(
    "bad_rule",
    "Cannot build the meter: what it does for each value must be a limit, a count of connections or a counter",
  );
}

/** The address that it leaves from is the interface's own. `fullyRandom`: ports that nobody can guess. */
export function masquerade(
  { random = false, fullyRandom = false }: { readonly random?: boolean; readonly fullyRandom?: boolean } = {},
): Clause {
  const flags = (random ? NatFlag.random : 0) | (fullyRandom ? NatFlag.fullyRandom : 0);
  return { expressions: () => [masqueradeExpression(flags)] };
}

/** A field's value, translated by a map. */
export interface MapLookup {
  readonly source: FieldSource;
  readonly map: string | readonly (readonly [Value, MapValue])[];
}

/** What a map of the table, or one given here, has for a field's value; what it does not have ends the rule. */
export function lookup<V>(field: Field<V>, map: MapLookup["map"]): MapLookup {
  return { source: field.source, map };
}

/** The verdict that a map has for a field's value; what it does not have goes on with the next rule. */
export function verdictOf<V>(field: Field<V>, map: MapLookup["map"]): Clause {
  const { source } = field;
  return {
    ...source.needs && { needs: source.needs },
    expressions: (sets) => lookUp({ source, map }, "verdict", sets),
  };
}

function lookUp({ source, map }: MapLookup, data: ValueType | "verdict", sets: RuleSets): Expression[] {
  const set = typeof map === "string" ? sets.named(map) : sets.anonymous({
    type: source.type,
    elements: map.map(([key, value]) => [extentOf(source.type, key), dataOf(data, value)] as const),
  });
  return [source.load(), lookupExpression(set, { gives: data === "verdict" ? "verdict" : "value" })];
}

/** Another address, one for each of several, and a port, which only what has ports can get. */
export interface NatTarget {
  readonly address: string | Bytes | MapLookup;
  readonly port?: number;
}

const SECOND_REGISTER = 2;

/** Changes where it comes from; in chains of type `nat` after routing. */
export function snat(target: NatTarget): Clause {
  return translation(NatType.source, target);
}

/** Changes where it goes to; in chains of type `nat` before routing. */
export function dnat(target: NatTarget): Clause {
  return translation(NatType.destination, target);
}

function translation(type: number, { address, port }: NatTarget): Clause {
  const to = port === undefined ? {} : { port: SECOND_REGISTER };
  const loadPort = port === undefined ? [] : [immediate(portBytes(port), SECOND_REGISTER)];
  if (typeof address === "object" && "source" in address) {
    const { source } = address;
    const family = source.needs?.nfproto ?? AF_INET;
    const data = family === AF_INET6 ? valueTypes.ipv6_addr : valueTypes.ipv4_addr;
    return {
      ...source.needs && { needs: source.needs },
      expressions: (sets) => [
        ...lookUp(address, data, sets),
        ...loadPort,
        nat({ type, family, address: 1, ...to }),
      ],
    };
  }
  const bytes = oneAddress(address);
  return {
    expressions: () => [immediate(bytes), ...loadPort, nat({ type, family: familyOf(bytes), address: 1, ...to })],
  };
}

function oneAddress(address: string | Bytes): Bytes {
  for (const type of [valueTypes.ipv4_addr, valueTypes.ipv6_addr]) {
    const extent: Extent | undefined = type.extentOf(address);
    if (extent && isSingle(extent)) return extent.from;
  }
  throw new CulvertError("bad_rule", `Cannot build the rule: NAT must be to one IP address, got "${address}"`);
}

function portBytes(port: number): Bytes {
  return extentOf(valueTypes.inet_service, port).from;
}

/** To this machine, at another port. */
export function redirect(port: number): Clause {
  const bytes = portBytes(port);
  return { expressions: () => [immediate(bytes), redirectExpression()] };
}

/** Lets the kernel not remember its connection; in a chain before `Priority.raw` has passed. */
export function notrack(): Clause {
  return { expressions: () => [notrackExpression()] };
}

type MarkSource = number | { readonly source: FieldSource };

/** Gives the packet a firewall mark: a number, or what `ct.mark` is. */
export function setMark(to: MarkSource): Clause {
  return { expressions: () => [loadMark(to), setMeta(MetaKey.mark)] };
}

/** Gives its connection a mark: a number, or what `mark` is. */
export function setConnectionMark(to: MarkSource): Clause {
  return { expressions: () => [loadMark(to), setCt(CtKey.mark)] };
}

function loadMark(to: MarkSource): Expression {
  return typeof to === "number" ? immediate(extentOf(valueTypes.mark, to).from) : to.source.load();
}

/** In SYN packets, the largest segment is made what fits the route, or so many bytes; it is never made larger. */
export function clampMss(to: "route" | number): Clause {
  const value = to === "route" ? [loadRouteMss(), toNetworkOrder(2)] : [immediate(portBytes(to))];
  const syn = tcp.flags({ set: ["syn"], of: ["syn", "rst"] });
  return { ...syn, expressions: (sets) => [...syn.expressions(sets), ...value, writeMaxseg()] };
}
