/**
 * The steps of the little machine that a rule is: load something into a register, compare it, act. A rule's steps are
 * carried out in order, and the first comparison that fails ends the rule.
 *
 * Registers: 0 takes the verdict, 1 to 4 hold 16 bytes each. What rules are made of is in `fields.ts` and
 * `statements.ts`; this is how each step is written. linux/netfilter/nf_tables.h.
 */

import type { Bytes } from "../primitives.ts";
import type { NftWriter } from "./message.ts";

/** NFTA_LIST_ELEM. */
export const LIST_ELEMENT = 1;
const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
export const NFTA_DATA_VALUE = 1;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;
const NFTA_VERDICT_CHAIN = 2;

const VERDICT_REGISTER = 0;
const FIRST_REGISTER = 1;

export interface Expression {
  readonly name: string;
  /** Absent when there is nothing to say beyond the name. */
  readonly write?: (writer: NftWriter) => void;
}

function expression(name: string, write: (writer: NftWriter) => void): Expression {
  return { name, write };
}

/** Name and content, as they stand in a rule's list and in what a set does to each of its elements. */
export function writeExpression(writer: NftWriter, type: number, { name, write }: Expression): void {
  writer.nested(type, () => {
    writer.text(NFTA_EXPR_NAME, name);
    if (write) writer.nested(NFTA_EXPR_DATA, write);
  });
}

export function writeExpressions(writer: NftWriter, type: number, expressions: readonly Expression[]): void {
  writer.nested(type, () => expressions.forEach((one) => writeExpression(writer, LIST_ELEMENT, one)));
}

export function writeValue(writer: NftWriter, type: number, value: Bytes): void {
  writer.nested(type, () => writer.bytes(NFTA_DATA_VALUE, value));
}

export interface Verdict {
  readonly code: number;
  /** Where a jump leads. */
  readonly chain?: string;
}

export const VerdictCode = { drop: 0, accept: 1, jump: -3, goto: -4, return: -5 } as const;

export function writeVerdict(writer: NftWriter, type: number, { code, chain }: Verdict): void {
  writer.nested(type, () =>
    writer.nested(NFTA_DATA_VERDICT, () => {
      writer.be32(NFTA_VERDICT_CODE, code);
      if (chain !== undefined) writer.text(NFTA_VERDICT_CHAIN, chain);
    }));
}

/** Loading; all into the first register, which most rules never leave. */

export const PayloadBase = { network: 1, transport: 2 } as const;

export function loadPayload(base: number, offset: number, length: number): Expression {
  return expression(
    "payload",
    (writer) => writer.be32(1, FIRST_REGISTER).be32(2, base).be32(3, offset).be32(4, length),
  );
}

export const MetaKey = {
  mark: 3,
  iifname: 6,
  oifname: 7,
  skuid: 10,
  skgid: 11,
  nfproto: 15,
  l4proto: 16,
} as const;

export function loadMeta(key: number): Expression {
  return expression("meta", (writer) => writer.be32(2, key).be32(1, FIRST_REGISTER));
}

export function setMeta(key: number): Expression {
  return expression("meta", (writer) => writer.be32(2, key).be32(3, FIRST_REGISTER));
}

export const CtKey = { state: 0, status: 2, mark: 3 } as const;

export function loadCt(key: number): Expression {
  return expression("ct", (writer) => writer.be32(2, key).be32(1, FIRST_REGISTER));
}

export function setCt(key: number): Expression {
  return expression("ct", (writer) => writer.be32(2, key).be32(4, FIRST_REGISTER));
}

const FIB_RESULT_ADDRESS_TYPE = 3;
export const FibFlag = { saddr: 1, daddr: 2 } as const;

export function loadFibType(flags: number): Expression {
  return expression(
    "fib",
    (writer) => writer.be32(3, flags).be32(2, FIB_RESULT_ADDRESS_TYPE).be32(1, FIRST_REGISTER),
  );
}

const RT_TCP_MSS = 3;

/** The largest segment that fits the route, in the machine's byte order. */
export function loadRouteMss(): Expression {
  return expression("rt", (writer) => writer.be32(2, RT_TCP_MSS).be32(1, FIRST_REGISTER));
}

const BYTEORDER_HTON = 1;

export function toNetworkOrder(bytes: number): Expression {
  return expression(
    "byteorder",
    (writer) =>
      writer.be32(1, FIRST_REGISTER).be32(2, FIRST_REGISTER).be32(3, BYTEORDER_HTON).be32(4, bytes).be32(5, bytes),
  );
}

/** A value, or a verdict, straight from the rule. */
export function immediate(value: Bytes, register = FIRST_REGISTER): Expression {
  return expression("immediate", (writer) => writeValue(writer.be32(1, register), 2, value));
}

export function immediateVerdict(verdict: Verdict): Expression {
  return expression("immediate", (writer) => writeVerdict(writer.be32(1, VERDICT_REGISTER), 2, verdict));
}

/** Comparing. */

export const Comparison = { equal: 0, notEqual: 1, notAbove: 3, notBelow: 5 } as const;

export function compare(operation: number, value: Bytes): Expression {
  return expression("cmp", (writer) => writeValue(writer.be32(1, FIRST_REGISTER).be32(2, operation), 3, value));
}

export function outsideRange(from: Bytes, to: Bytes): Expression {
  return expression("range", (writer) => {
    writer.be32(1, FIRST_REGISTER).be32(2, Comparison.notEqual);
    writeValue(writer, 3, from);
    writeValue(writer, 4, to);
  });
}

/** `(register & mask) ^ xor`. */
export function mask(mask: Bytes, xor: Bytes = new Uint8Array(mask.length)): Expression {
  return expression("bitwise", (writer) => {
    writer.be32(1, FIRST_REGISTER).be32(2, FIRST_REGISTER).be32(3, mask.length);
    writeValue(writer, 4, mask);
    writeValue(writer, 5, xor);
  });
}

/** A set by its name; one that is made in the same batch also by its number, because its name is yet to be chosen. */
export interface SetReference {
  readonly name: string;
  readonly id?: number;
}

export interface LookupOptions {
  readonly isNot?: boolean;
  /** What a map gives: `"value"` in the register, `"verdict"` carried out. */
  readonly gives?: "value" | "verdict";
}

export function lookup(set: SetReference, { isNot = false, gives }: LookupOptions = {}): Expression {
  return expression("lookup", (writer) => {
    writer.be32(2, FIRST_REGISTER);
    if (gives) writer.be32(3, gives === "value" ? FIRST_REGISTER : VERDICT_REGISTER);
    writer.text(1, set.name);
    if (set.id !== undefined) writer.be32(4, set.id);
    if (isNot) writer.be32(5, 1);
  });
}

/** Acting. */

export function counter(): Expression {
  return expression("counter", () => {});
}

export interface LimitRate {
  readonly isBytes: boolean;
  readonly amount: number;
  readonly perSeconds: number;
  readonly burst: number;
  /** Match what is over it, not what is within. */
  readonly isOver: boolean;
}

export function limit({ isBytes, amount, perSeconds, burst, isOver }: LimitRate): Expression {
  return expression(
    "limit",
    (writer) =>
      writer.be64(1, amount).be64(2, perSeconds).be32(3, burst).be32(4, isBytes ? 1 : 0).be32(5, isOver ? 1 : 0),
  );
}

const CONNLIMIT_IS_OVER = 1;

export function connectionLimit(count: number): Expression {
  return expression("connlimit", (writer) => writer.be32(1, count).be32(2, CONNLIMIT_IS_OVER));
}

const DYNSET_UPDATE = 1;

/** Puts the register's value into a set, or keeps it there longer, and does `each` with what belongs to that value. */
export function updateSet(set: SetReference, each: Expression): Expression {
  return expression("dynset", (writer) => {
    writer.be32(4, FIRST_REGISTER).be32(3, DYNSET_UPDATE).text(1, set.name);
    if (set.id !== undefined) writer.be32(2, set.id);
    writeExpression(writer, 7, each);
  });
}

export const NatFlag = { portGiven: 2, random: 4, fullyRandom: 16 } as const;

export function masquerade(flags: number): Expression {
  return expression("masq", (writer) => void (flags && writer.be32(1, flags)));
}

export const NatType = { source: 0, destination: 1 } as const;

export interface NatRegisters {
  readonly type: number;
  /** AF_INET or AF_INET6. */
  readonly family: number;
  readonly address: number;
  readonly port?: number;
}

export function nat({ type, family, address, port }: NatRegisters): Expression {
  return expression("nat", (writer) => {
    writer.be32(1, type).be32(2, family).be32(3, address);
    if (port !== undefined) writer.be32(5, port).be32(7, NatFlag.portGiven);
  });
}

export function redirect(): Expression {
  return expression("redir", (writer) => writer.be32(1, FIRST_REGISTER).be32(3, NatFlag.portGiven));
}

export function reject(type: number, code: number): Expression {
  return expression("reject", (writer) => writer.be32(1, type).u8(2, code));
}

export function notrack(): Expression {
  return { name: "notrack" };
}

const TCP_OPTION = 1;
const MAXSEG = { option: 2, offset: 2, bytes: 2 } as const;

/** Writes the register to the largest segment a SYN announces; the kernel only ever makes it smaller. */
export function writeMaxseg(): Expression {
  return expression(
    "exthdr",
    (writer) =>
      writer.be32(7, FIRST_REGISTER).u8(2, MAXSEG.option).be32(3, MAXSEG.offset).be32(4, MAXSEG.bytes)
        .be32(6, TCP_OPTION),
  );
}
