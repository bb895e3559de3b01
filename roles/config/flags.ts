/**
 * Command-line arguments to values.
 *
 *   --name value   --name=value   -n value   -n=value   --switch   --no-switch   --switch=false   word   --
 *
 * A flag that is no list may be given again: the last one counts. Written by hand because `@std/cli/parse-args` guesses
 * where we must not: an unknown flag swallows the word after it, a missing value becomes "", `--a.b` becomes an object,
 * and nothing tells afterwards what was really typed.
 */

import { didYouMean } from "./names.ts";
import { type Given, showValue } from "./problems.ts";
import type { Field } from "./schema.ts";

export interface FlagReading {
  readonly given: readonly Given[];
  readonly problems: readonly string[];
}

/** Reads the arguments; what cannot be read becomes a problem, and reading goes on. */
export function readFlags(args: readonly string[], fields: readonly Field[]): FlagReading {
  return new FlagReader(args, fields).read();
}

/** Whether `--help` or `-h` is among the arguments, before a `--`. */
export function wantsHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return (end < 0 ? args : args.slice(0, end)).some((arg) => arg === "--help" || arg === "-h");
}

class FlagReader {
  readonly #args: readonly string[];
  readonly #flags = new Map<string, Field>();
  readonly #positionals: Field[];
  readonly #values = new Map<Field, Given>();
  readonly #problems: string[] = [];
  #at = 0;

  constructor(args: readonly string[], fields: readonly Field[]) {
    this.#args = args;
    this.#positionals = fields.filter((field) => field.positional);
    for (const field of fields) {
      if (field.positional) continue;
      this.#flags.set(`--${field.flag}`, field);
      if (field.short) this.#flags.set(`-${field.short}`, field);
      if (field.alsoFlag) this.#flags.set(`--${field.alsoFlag}`, field);
    }
  }

  read(): FlagReading {
    while (this.#at < this.#args.length) {
      const arg = this.#args[this.#at++]!;
      if (arg === "--") {
        for (const word of this.#args.slice(this.#at)) this.#word(word);
        break;
      }
      if (arg.startsWith("-") && arg !== "-") this.#flag(arg);
      else this.#word(arg);
    }
    return { given: [...this.#values.values()], problems: this.#problems };
  }

  #flag(arg: string): void {
    const equals = arg.indexOf("=");
    const name = equals < 0 ? arg : arg.slice(0, equals);
    const inline = equals < 0 ? undefined : arg.slice(equals + 1);
    const field = this.#flags.get(name);
    const negated = field ? undefined : this.#negated(name);
    if (negated && inline === undefined) return this.#keep(negated, "false", name);
    if (!field) {
      const known = [...this.#flags.keys()].filter((flag) => flag.startsWith("--"));
      // No long flag resembles a single letter.
      const hint = name.length === 2 ? "" : didYouMean(name, [...known, "--help"]);
      this.#problems.push(`${showName(name)} is not a flag${hint}`);
      // Its value is no word too many, and may be a secret with a misspelt flag.
      if (inline === undefined && !this.#nextIsFlag() && !this.#openPositional()) this.#at++;
    } else if (inline !== undefined) {
      this.#keep(field, inline, name);
    } else if (field.kind === "boolean" && !field.repeatable) {
      this.#keep(field, "true", name);
    } else if (this.#nextIsFlag()) {
      this.#problems.push(`${name} must be followed by a value, got nothing`);
    } else {
      this.#keep(field, this.#args[this.#at++]!, name);
    }
  }

  #negated(name: string): Field | undefined {
    if (!name.startsWith("--no-")) return undefined;
    const field = this.#flags.get("--" + name.slice("--no-".length));
    return field?.kind === "boolean" ? field : undefined;
  }

  /** Whether what follows cannot be a value: nothing, or a flag. `--name=--value` says it anyway. */
  #nextIsFlag(): boolean {
    const next = this.#args[this.#at];
    return next === undefined || next.startsWith("--") || this.#flags.has(next);
  }

  #word(word: string): void {
    const field = this.#openPositional();
    if (field) this.#keep(field, word, `<${field.placeholder ?? field.flag}>`);
    else this.#problems.push(`${showValue(word)} is one word too many: flags begin with --`);
  }

  /** The argument that the next bare word is for. */
  #openPositional(): Field | undefined {
    return this.#positionals.find((field) => field.repeatable || !this.#values.has(field));
  }

  #keep(field: Field, text: string, origin: string): void {
    const before = this.#values.get(field);
    const value = field.repeatable ? [...(before?.value as string[] | undefined ?? []), text] : text;
    this.#values.set(field, { field, value, origin });
  }
}

/** A flag's name without quotes when it is an ordinary one. */
function showName(name: string): string {
  return /^-[\w.-]{1,60}$/.test(name) ? name : showValue(name);
}
