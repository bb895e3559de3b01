/**
 * A rule: clauses that are looked at in order until one does not fit the packet.
 *
 *   rule(ip.saddr("10.201.0.0/16"), oifname("eth0"), counter(), masquerade())
 *
 * What a clause takes for granted is asked first, once per rule: an IPv4 address is only looked for in IPv4 packets, a
 * TCP port only in TCP. So `ip.saddr(not("10.0.0.0/8"))` is not true of IPv6 packets.
 */

import { CulvertError } from "../errors.ts";
import type { Bytes } from "../primitives.ts";
import { compare, Comparison, type Expression, loadMeta, MetaKey, type SetReference } from "./expressions.ts";
import { isComment, MAX_COMMENT_BYTES } from "./message.ts";
import type { ElementData } from "./sets.ts";
import { compareBytes, type Extent, type ValueType } from "./values.ts";

/** What must be known of a packet before a clause can look at it; numbers as in its headers. */
export interface Needs {
  /** AF_INET or AF_INET6. */
  readonly nfproto?: number;
  readonly l4proto?: number;
}

/** A set that only its rule knows. */
export interface AnonymousSet {
  readonly type: ValueType;
  readonly elements: readonly (readonly [key: Extent, data?: ElementData])[];
}

/** The sets that clauses can look values up in. */
export interface RuleSets {
  /** One of the table; throws when there is none of the name. */
  named(name: string): SetReference;
  /** A new one, made in the batch of the rule. */
  anonymous(set: AnonymousSet): SetReference;
}

export interface Clause {
  readonly needs?: Needs;
  readonly comment?: string;
  expressions(sets: RuleSets): readonly Expression[];
}

export interface Rule {
  readonly clauses: readonly Clause[];
}

export function rule(...clauses: readonly Clause[]): Rule {
  return { clauses };
}

/** For people: `nft` shows it, and counters are found by it. */
export function comment(text: string): Clause {
  if (!isComment(text)) {
    throw new CulvertError(
      "bad_rule",
      `Cannot build the rule: its comment must be plain text of less than ${MAX_COMMENT_BYTES} bytes, got "${text}"`,
    );
  }
  return { comment: text, expressions: () => [] };
}

export interface CompiledRule {
  readonly expressions: readonly Expression[];
  readonly comment: string | undefined;
}

export function compileRule({ clauses }: Rule, sets: RuleSets): CompiledRule {
  const known = new Map<number, Bytes>();
  const expressions: Expression[] = [];
  for (const clause of clauses) {
    for (const [key, value] of needsOf(clause)) {
      const before = known.get(key);
      if (before && compareBytes(before, value) !== 0) {
        throw new CulvertError(
          "bad_rule",
          "Cannot build the rule: its clauses must be of one protocol, and are of two",
        );
      }
      if (!before) expressions.push(loadMeta(key), compare(Comparison.equal, value));
      known.set(key, value);
    }
    expressions.push(...clause.expressions(sets));
  }
  return { expressions, comment: clauses.findLast((clause) => clause.comment !== undefined)?.comment };
}

function* needsOf({ needs = {} }: Clause): Iterable<[key: number, value: Bytes]> {
  if (needs.nfproto !== undefined) yield [MetaKey.nfproto, Uint8Array.of(needs.nfproto)];
  if (needs.l4proto !== undefined) yield [MetaKey.l4proto, Uint8Array.of(needs.l4proto)];
}
