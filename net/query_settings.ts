/**
 * Settings as the query of a URL has them, `links=2&mode=fast`: read one by one, each with its rule, and in the end nothing
 * may be left that nobody has asked for.
 */

import type { CulvertError } from "../protocol/errors.ts";

export interface NumberRule {
  readonly least: number;
  readonly most: number;
  /** What is meant when nothing is said. */
  readonly usual: number;
}

export class QuerySettings {
  readonly #given = new Map<string, string>();
  readonly #known = new Set<string>();
  readonly #fail: (rule: string) => CulvertError;

  /** `fail` makes the error of a rule such as "must have links between 1 and 8, got 9". */
  constructor(query: string, fail: (rule: string) => CulvertError) {
    this.#fail = fail;
    for (const [name, value] of new URLSearchParams(query)) {
      if (this.#given.has(name)) throw fail(`must say ${JSON.stringify(name)} once`);
      this.#given.set(name, value);
    }
  }

  /** A whole number. */
  number(name: string, { least, most, usual }: NumberRule): number {
    const text = this.text(name);
    if (text === undefined) return usual;
    const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
    if (value >= least && value <= most) return value;
    throw this.#fail(`must have ${name} between ${least} and ${most}, got ${JSON.stringify(text)}`);
  }

  choice<T extends string>(name: string, choices: readonly T[], usual: T): T {
    const text = this.text(name);
    if (text === undefined) return usual;
    if ((choices as readonly string[]).includes(text)) return text as T;
    throw this.#fail(`must have ${name} ${choices.join(" or ")}, got ${JSON.stringify(text)}`);
  }

  /** 0 or 1; 0 when nothing is said. */
  flag(name: string): boolean {
    return this.choice(name, ["0", "1"], "0") === "1";
  }

  text(name: string): string | undefined {
    this.#known.add(name);
    return this.#given.get(name);
  }

  /** Throws when something is said that nobody has asked for. */
  done(): void {
    const unknown = [...this.#given.keys()].find((name) => !this.#known.has(name));
    if (unknown === undefined) return;
    throw this.#fail(`may say ${[...this.#known].join(", ")} after the "?", got ${JSON.stringify(unknown)}`);
  }
}
