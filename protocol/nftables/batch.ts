/**
 * Changes that happen all together or not at all: between two packets the kernel goes from what was to what is meant.
 *
 *   begin ─▶ make the table unless it is there ─▶ delete it ─▶ table ─▶ chains ─▶ sets ─▶ rules, each after its sets ─▶ end
 *
 * Making a table before deleting it is what makes one batch right whether or not there was one.
 */

import { CulvertError } from "../errors.ts";
import { NLM_F_ACK } from "../netlink.ts";
import type { Bytes } from "../primitives.ts";
import type { SetReference } from "./expressions.ts";
import { Command, encodeBatchMark, isComment, isNftName, MAX_COMMENT_BYTES, withFlags } from "./message.ts";
import { type AnonymousSet, compileRule } from "./rule.ts";
import {
  encodeElements,
  encodeSet,
  entriesOf,
  firstPointsOf,
  layoutOf,
  type NamedMap,
  type NamedSet,
  pointsOf,
  type SetLayout,
  type SetPoint,
} from "./sets.ts";
import { encodeChain, encodeDeleteTable, encodeEnsureTable, encodeRule, encodeTable, type Table } from "./table.ts";
import { extentOf, isSingle, type Value } from "./values.ts";

/** All our tables' names begin so. */
export const TABLE_PREFIX = "culvert";

/** One message of a batch, and what it is for, which errors name. */
export interface Step {
  readonly what: string;
  readonly message: Bytes;
}

/** The messages of a batch. The first and the last stand for no step; the kernel acknowledges the last step. */
export function batchOf(steps: readonly Step[]): Bytes[] {
  const messages = steps.map(({ message }) => message);
  const last = messages.pop();
  return [encodeBatchMark("begin"), ...messages, ...last ? [withFlags(last, NLM_F_ACK)] : [], encodeBatchMark("end")];
}

/** Puts the table in the place of one with its name. Counters and dynamic sets begin anew; connections stay. */
export function replaceTable(table: Table): Step[] {
  requireOurs(table.name);
  requireNames(table);
  return new TableSteps(table).all();
}

export function deleteTable(name: string): Step[] {
  requireOurs(name);
  return [{ what: `table ${name}`, message: encodeDeleteTable(name) }];
}

export interface SetChange {
  readonly add?: readonly Value[];
  readonly remove?: readonly Value[];
}

/** Removes values from a set of a table and adds others; what is removed must be there just as it was added. */
export function changeSet(
  table: string,
  set: Pick<NamedSet, "name" | "key" | "hasIntervals">,
  change: SetChange,
): Step[] {
  requireOurs(table);
  const layout = layoutOf(set);
  const steps = (command: number, what: string, values: readonly Value[] = []): Step[] => {
    const points = pointsOf(layout, values.map((value) => [extentOf(layout.type, value)]));
    return encodeElements(command, { table, set: { name: set.name } }, points)
      .map((message) => ({ what: `${what} set ${set.name}`, message }));
  };
  return [
    ...steps(Command.delElements, "what is removed from", change.remove),
    ...steps(Command.newElements, "what is added to", change.add),
  ];
}

class TableSteps {
  readonly #table: Table;
  readonly #steps: Step[] = [];
  readonly #named = new Map<string, SetReference>();
  #setId = 0;

  constructor(table: Table) {
    this.#table = table;
  }

  all(): Step[] {
    const { name, chains, sets = [] } = this.#table;
    this.#add(`table ${name}`, encodeEnsureTable(name), encodeDeleteTable(name), encodeTable(this.#table));
    for (const chain of chains) this.#add(`chain ${chain.name}`, encodeChain(name, chain));
    for (const set of sets) this.#addNamedSet(set);
    for (const chain of chains) {
      chain.rules.forEach((rule, index) => {
        const what = `rule ${index + 1} of chain ${chain.name}`;
        const compiled = compileRule(rule, {
          named: (name) => this.#namedSet(name, what),
          anonymous: (set) => this.#addAnonymousSet(set, what),
        });
        this.#add(what, encodeRule(name, chain.name, compiled));
      });
    }
    return this.#steps;
  }

  #add(what: string, ...messages: readonly Bytes[]): void {
    for (const message of messages) this.#steps.push({ what, message });
  }

  #addNamedSet(set: NamedSet | NamedMap): void {
    const layout = layoutOf(set);
    this.#named.set(set.name, this.#addSet(`set ${set.name}`, set.name, layout, firstPointsOf(layout, entriesOf(set))));
  }

  #namedSet(name: string, what: string): SetReference {
    const set = this.#named.get(name);
    if (set) return set;
    throw new CulvertError("bad_rule", `Cannot build ${what}: its table must have the set it names, got "${name}"`);
  }

  #addAnonymousSet({ type, elements }: AnonymousSet, what: string): SetReference {
    const data = elements[0]?.[1];
    const hasIntervals = elements.some(([extent]) => !isSingle(extent));
    const layout: SetLayout = {
      type,
      hasIntervals,
      isAnonymous: true,
      ...data && { data: "verdict" in data ? "verdict" : data.type },
    };
    const points = firstPointsOf(layout, elements);
    const name = data ? "__map%d" : "__set%d";
    return this.#addSet(`the values in ${what}`, name, { ...layout, maxElements: points.length }, points);
  }

  /** The kernel puts a number for %d; within the batch, the id stands for the set. */
  #addSet(what: string, name: string, layout: SetLayout, points: readonly SetPoint[]): SetReference {
    const set = { name, id: ++this.#setId };
    const table = this.#table.name;
    this.#add(what, encodeSet(table, set, layout));
    this.#add(what, ...encodeElements(Command.newElements, { table, set }, points));
    return set;
  }
}

/** So that no mistake of ours can reach what others have made. */
function requireOurs(name: string): void {
  if (name.startsWith(TABLE_PREFIX) && isNftName(name)) return;
  throw new CulvertError(
    "bad_rule",
    `Cannot change the table: its name must begin with ${TABLE_PREFIX} and be of letters, digits and _, got "${name}"`,
  );
}

function requireNames({ comment, chains, sets = [] }: Table): void {
  for (const [kind, things] of [["chain", chains], ["set", sets]] as const) {
    const seen = new Set<string>();
    for (const { name } of things) {
      if (!isNftName(name) || seen.has(name)) {
        throw new CulvertError(
          "bad_rule",
          `Cannot build the table: the name of a ${kind} must be of letters, digits and _ and be used once, got "${name}"`,
        );
      }
      seen.add(name);
    }
  }
  if (comment !== undefined && !isComment(comment)) {
    throw new CulvertError(
      "bad_rule",
      `Cannot build the table: its comment must be plain text of less than ${MAX_COMMENT_BYTES} bytes, got "${comment}"`,
    );
  }
}
