/**
 * A table: what one of our parts wants of the machine's packet filter, all of it in one place, made and taken away as a
 * whole. Its name begins with `culvert`; no other table is ever touched.
 *
 *   { name: "culvert_exit", chains: [
 *     { name: "postrouting", base: { type: "nat", hook: "postrouting", priority: Priority.srcnat }, rules: [
 *       rule(ip.saddr("10.201.0.0/16"), oifname("eth0"), counter(), masquerade()),
 *     ] },
 *   ] }
 *
 * A chain with a base sees packets at a hook of the kernel; others are jumped to. Chains of several tables at one hook
 * all see a packet until one drops it: `accept` here does not overrule a drop elsewhere.
 */

import { Attributes, type NetlinkMessage, NLM_F_CREATE } from "../netlink.ts";
import type { Bytes } from "../primitives.ts";
import { writeExpressions } from "./expressions.ts";
import {
  Command,
  encodeComment,
  NFGEN_HEADER_BYTES,
  NFPROTO_INET,
  NftWriter,
  readBe32,
  readBe64,
  readComment,
  typeOf,
} from "./message.ts";
import type { CompiledRule, Rule } from "./rule.ts";
import { type Counter, type NamedMap, type NamedSet, readCounter } from "./sets.ts";

const NLM_F_APPEND = 0x800;

const NFTA_TABLE_NAME = 1;
const NFTA_TABLE_FLAGS = 2;
const NFTA_TABLE_USERDATA = 6;
const NFTA_TABLE_OWNER = 7;
const TABLE_IS_OWNED = 2;

const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const NFTA_CHAIN_HOOK = 4;
const NFTA_CHAIN_POLICY = 5;
const NFTA_CHAIN_TYPE = 7;
const NFTA_HOOK_HOOKNUM = 1;
const NFTA_HOOK_PRIORITY = 2;

const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_HANDLE = 3;
const NFTA_RULE_EXPRESSIONS = 4;
const NFTA_RULE_USERDATA = 7;

/** When a chain sees a packet, among those at its hook: lower is earlier. */
export const Priority = { raw: -300, mangle: -150, dstnat: -100, filter: 0, security: 50, srcnat: 100 } as const;

const HOOKS = ["prerouting", "input", "forward", "output", "postrouting"] as const;
const POLICIES = ["drop", "accept"] as const;

export interface BaseChain {
  /** `nat` sees only the first packet of a connection; `route` looks its route up anew when its mark changes. */
  readonly type: "filter" | "nat" | "route";
  readonly hook: typeof HOOKS[number];
  readonly priority: number;
  /** What becomes of packets that no rule decides about; `accept` when not said. */
  readonly policy?: typeof POLICIES[number];
}

export interface Chain {
  readonly name: string;
  readonly base?: BaseChain;
  readonly rules: readonly Rule[];
}

export interface Table {
  readonly name: string;
  /** For people: `nft` shows it. */
  readonly comment?: string;
  /**
   * It lives as long as the socket that makes it: gone after `kill -9`, proof against `nft flush ruleset`, and nobody
   * else can change it. Since Linux 5.12.
   */
  readonly isOwned?: boolean;
  readonly sets?: readonly (NamedSet | NamedMap)[];
  readonly chains: readonly Chain[];
}

/** Makes the table unless it is there. */
export function encodeEnsureTable(name: string): Bytes {
  return new NftWriter(Command.newTable, NLM_F_CREATE).text(NFTA_TABLE_NAME, name).finish();
}

export function encodeTable({ name, comment, isOwned = false }: Table): Bytes {
  const writer = new NftWriter(Command.newTable, NLM_F_CREATE)
    .text(NFTA_TABLE_NAME, name)
    .be32(NFTA_TABLE_FLAGS, isOwned ? TABLE_IS_OWNED : 0);
  if (comment !== undefined) writer.bytes(NFTA_TABLE_USERDATA, encodeComment(comment));
  return writer.finish();
}

/** With everything in it. */
export function encodeDeleteTable(name: string): Bytes {
  return new NftWriter(Command.delTable, 0).text(NFTA_TABLE_NAME, name).finish();
}

export function encodeChain(table: string, { name, base }: Chain): Bytes {
  const writer = new NftWriter(Command.newChain, NLM_F_CREATE)
    .text(NFTA_CHAIN_TABLE, table)
    .text(NFTA_CHAIN_NAME, name);
  if (!base) return writer.finish();
  const { type, hook, priority, policy = "accept" } = base;
  return writer
    .text(NFTA_CHAIN_TYPE, type)
    .be32(NFTA_CHAIN_POLICY, POLICIES.indexOf(policy))
    .nested(
      NFTA_CHAIN_HOOK,
      () => writer.be32(NFTA_HOOK_HOOKNUM, HOOKS.indexOf(hook)).be32(NFTA_HOOK_PRIORITY, priority),
    )
    .finish();
}

/** Adds a rule at the end of its chain. */
export function encodeRule(table: string, chain: string, { expressions, comment }: CompiledRule): Bytes {
  const writer = new NftWriter(Command.newRule, NLM_F_CREATE | NLM_F_APPEND)
    .text(NFTA_RULE_TABLE, table)
    .text(NFTA_RULE_CHAIN, chain);
  writeExpressions(writer, NFTA_RULE_EXPRESSIONS, expressions);
  if (comment !== undefined) writer.bytes(NFTA_RULE_USERDATA, encodeComment(comment));
  return writer.finish();
}

/** Leaves only what belongs to a table in a list of chains or rules. */
export function onlyOfTable(table: string): (writer: NftWriter) => void {
  return (writer) => void writer.text(NFTA_RULE_TABLE, table);
}

export interface TableInfo {
  readonly name: string;
  readonly comment?: string;
  /** Some process owns it. */
  readonly isOwned: boolean;
}

export interface ChainInfo {
  readonly table: string;
  readonly name: string;
  readonly base?: Required<BaseChain>;
}

export interface RuleInfo {
  readonly table: string;
  readonly chain: string;
  /** The kernel's number for it. */
  readonly handle: number;
  readonly comment?: string;
  /** Its first counter. */
  readonly counter?: Counter;
}

/** The attributes of a message of this command about our family; undefined for any other message. */
function attributesOf({ type, payload }: NetlinkMessage, command: number): Attributes | undefined {
  if (type !== typeOf(command) || payload[0] !== NFPROTO_INET) return undefined;
  return new Attributes(payload, NFGEN_HEADER_BYTES);
}

export function readTable(message: NetlinkMessage): TableInfo | undefined {
  const attributes = attributesOf(message, Command.newTable);
  const name = attributes?.text(NFTA_TABLE_NAME);
  if (!attributes || name === undefined) return undefined;
  const comment = readComment(attributes.bytes(NFTA_TABLE_USERDATA) ?? new Uint8Array(0));
  const isOwned = readBe32(attributes, NFTA_TABLE_OWNER) !== undefined;
  return { name, isOwned, ...comment !== undefined && { comment } };
}

export function readChain(message: NetlinkMessage): ChainInfo | undefined {
  const attributes = attributesOf(message, Command.newChain);
  const table = attributes?.text(NFTA_CHAIN_TABLE), name = attributes?.text(NFTA_CHAIN_NAME);
  if (!attributes || table === undefined || name === undefined) return undefined;
  const base = readBase(attributes);
  return { table, name, ...base && { base } };
}

function readBase(attributes: Attributes): Required<BaseChain> | undefined {
  const at = attributes.nested(NFTA_CHAIN_HOOK);
  const hook = HOOKS[readBe32(at, NFTA_HOOK_HOOKNUM) ?? HOOKS.length];
  const priority = readBe32(at, NFTA_HOOK_PRIORITY);
  const type = (["filter", "nat", "route"] as const).find((known) => known === attributes.text(NFTA_CHAIN_TYPE));
  const policy = POLICIES[readBe32(attributes, NFTA_CHAIN_POLICY) ?? POLICIES.length];
  if (!hook || priority === undefined || !type || !policy) return undefined;
  return { type, hook, priority: priority | 0, policy };
}

export function readRule(message: NetlinkMessage): RuleInfo | undefined {
  const attributes = attributesOf(message, Command.newRule);
  const table = attributes?.text(NFTA_RULE_TABLE), chain = attributes?.text(NFTA_RULE_CHAIN);
  if (!attributes || table === undefined || chain === undefined) return undefined;
  const comment = readComment(attributes.bytes(NFTA_RULE_USERDATA) ?? new Uint8Array(0));
  const counter = attributes.list(NFTA_RULE_EXPRESSIONS).map(readCounter).find((found) => found !== undefined);
  return {
    table,
    chain,
    handle: readBe64(attributes, NFTA_RULE_HANDLE) ?? 0,
    ...comment !== undefined && { comment },
    ...counter && { counter },
  };
}
