/**
 * The guard's rules for kernels without nf_tables, by the programs iptables and ip6tables. The kernel does not take them away
 * with us: those of a process that was killed are found by their comment, and taken away by the next guard on this machine,
 * once the port that they are named after is free. Rules of others are neither changed nor moved.
 */

import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { Iptables } from "./iptables.ts";
import { guardRules, type ListedRule, ourRules, type RuleSupport, SUPPORTS } from "./iptables_rules.ts";
import { isPortFree } from "./port_reservation.ts";
import { Recheck } from "./recheck.ts";
import { type GuardedPorts, type PortRules, type RuleHost, runsOf } from "./rules.ts";

/** Each look starts two processes. */
const LOOK_MS = 5000;

export function guardByIptables(guarded: GuardedPorts, { libc, clock, log }: RuleHost): PortRules {
  const families = programsFor(guarded);
  const name = runsOf(guarded.ports)[0]!.from;
  // The caller has the port: what is named after it was left behind.
  for (const { iptables } of families) removeStale(iptables, (guard) => guard === name || isPortFree(libc, guard));
  const placed: PlacedRules[] = [];
  try {
    for (const { iptables, mayLack } of families) {
      const rules = PlacedRules.placeFirstPossible(iptables, guarded, name, mayLack);
      if (rules) placed.push(rules);
      else log.warn("Packets of IPv6 are not guarded: ip6tables has no tables", { port: name });
    }
  } catch (error) {
    for (const rules of placed) rules.remove();
    throw error;
  }
  const recheck = new Recheck(clock, LOOK_MS, async () => {
    try {
      for (const rules of placed) {
        if (await rules.isWhole() || recheck.hasEnded) continue;
        log.warn("Somebody has taken away the rules that guard a port; they are put back", { port: name });
        rules.putBack();
      }
    } catch (error) {
      log.error("The rules that guard a port cannot be looked after", { port: name, error: messageOf(error) });
    }
  });
  return {
    heardPackets: () => undefined,
    async [Symbol.asyncDispose]() {
      await recheck[Symbol.asyncDispose]();
      for (const rules of placed) rules.remove();
    },
  };
}

interface Family {
  readonly iptables: Iptables;
  /** A machine without IPv6 has no tables for it. */
  readonly mayLack: boolean;
}

function programsFor({ peer }: GuardedPorts): Family[] {
  const families = peer ? [peer.length === 4 ? 4 : 6] as const : [4, 6] as const;
  const found = families.flatMap((family): Family[] => {
    const iptables = Iptables.find(family);
    return iptables ? [{ iptables, mayLack: family === 6 && !peer }] : [];
  });
  const needed = families[0];
  if (found.some(({ iptables }) => iptables.family === needed)) return found;
  throw new CulvertError(
    "no_firewall",
    `Cannot guard a port: there must be nf_tables in the kernel or the program ${
      needed === 4 ? "iptables" : "ip6tables"
    }, and there is neither`,
  );
}

function removeStale(iptables: Iptables, isStale: (guard: number) => boolean): void {
  for (const table of ["raw", "mangle"]) {
    const ours = ourRules(iptables.list(table));
    const stale = new Set([...new Set(ours.map(({ guard }) => guard))].filter(isStale));
    for (const { guard, rule } of ours) if (stale.has(guard)) iptables.remove(table, rule);
  }
}

/** The rules of one guard in one family. */
class PlacedRules {
  readonly #iptables: Iptables;
  readonly #support: RuleSupport;
  readonly #rules: readonly (readonly string[])[];
  readonly #name: number;

  private constructor(iptables: Iptables, support: RuleSupport, rules: readonly string[][], name: number) {
    this.#iptables = iptables;
    this.#support = support;
    this.#rules = rules;
    this.#name = name;
  }

  /** With as much as this kernel has; undefined when it has nothing and may. */
  static placeFirstPossible(
    iptables: Iptables,
    guarded: GuardedPorts,
    name: number,
    mayLack: boolean,
  ): PlacedRules | undefined {
    let refusal: unknown;
    for (const support of SUPPORTS) {
      const placed = new PlacedRules(iptables, support, guardRules(guarded, support), name);
      try {
        placed.#place();
        return placed;
      } catch (error) {
        refusal ??= error;
        placed.remove();
      }
    }
    if (mayLack) return undefined;
    throw refusal;
  }

  #place(): void {
    for (const rule of this.#rules) this.#iptables.insert(this.#support.table, rule);
  }

  async isWhole(): Promise<boolean> {
    const listed = ourRules(await this.#iptables.listLater(this.#support.table));
    return this.#mine(listed).length === this.#rules.length;
  }

  putBack(): void {
    this.remove();
    this.#place();
  }

  remove(): void {
    const { table } = this.#support;
    for (const { rule } of this.#mine(ourRules(this.#iptables.list(table)))) this.#iptables.remove(table, rule);
  }

  #mine(rules: readonly ListedRule[]): ListedRule[] {
    return rules.filter(({ guard }) => guard === this.#name);
  }
}
