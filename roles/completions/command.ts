/**
 * What the completion scripts of every shell have in common: the words of one role.
 */

import type { Field } from "../config/schema.ts";

export interface CompletedRole {
  readonly name: string;
  readonly summary: string;
  readonly fields: readonly Field[];
}

/** A flag as typed, and what may follow it. */
export interface CompletedFlag {
  readonly flag: string;
  readonly description: string;
  /** Absent for a switch. */
  readonly value?: CompletedValue;
}

/** The words a value may be, or the kind of file it names; neither when anything goes. */
export interface CompletedValue {
  readonly words: readonly string[];
  readonly files?: "file" | "directory";
  readonly placeholder: string;
}

/** Every spelling of every flag of a role, `--help` last. */
export function flagsOf(role: CompletedRole): CompletedFlag[] {
  const flags = role.fields.filter((field) => !field.positional).flatMap((field): CompletedFlag[] => {
    const description = field.description ?? "";
    if (field.kind === "boolean" && !field.repeatable) {
      const negative = field.defaultText === "true" ? [{ flag: `--no-${field.flag}`, description }] : [];
      return [...spellings(field).map((flag) => ({ flag, description })), ...negative];
    }
    const value = valueOf(field);
    return spellings(field).map((flag) => ({ flag, description, value }));
  });
  return [...flags, { flag: "--help", description: "Show every flag." }];
}

/** What a role's bare words may be, in their order. */
export function argumentsOf(role: CompletedRole): CompletedValue[] {
  return role.fields.filter((field) => field.positional).map(valueOf);
}

function spellings(field: Field): string[] {
  return field.short ? [`--${field.flag}`, `-${field.short}`] : [`--${field.flag}`];
}

function valueOf(field: Field): CompletedValue {
  return {
    words: field.choices,
    placeholder: field.placeholder ?? field.kind,
    ...(field.completes ? { files: field.completes } : {}),
  };
}

/** A word in single quotes, as bash and zsh read them. */
export function singleQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
