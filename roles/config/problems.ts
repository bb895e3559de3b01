/**
 * What is wrong with the settings, in words: "<what> must be <rule>, got <value>", one line for every problem. `what`
 * is spelled as it was given: a flag, a variable, or a key and its file. Secrets are never repeated.
 */

import type { z } from "zod";
import { CulvertError } from "../../protocol/errors.ts";
import { quoteText } from "../escape.ts";
import type { Field } from "./schema.ts";

/** A value somebody gave, as they wrote it, and where. */
export interface Given {
  readonly field: Field;
  /** Text from flags and variables; whatever the file held otherwise. */
  readonly value: unknown;
  /** `--listen`, `CULVERT_LISTEN`, `listen in culvert.toml`. */
  readonly origin: string;
}

/** Settings that cannot be used. `problems` holds every one of them; the message is fit to print. */
export class ConfigError extends CulvertError {
  override readonly name = "ConfigError";
  readonly problems: readonly string[];

  constructor(action: string, problems: readonly string[]) {
    super("bad_config", problems.map((problem) => `Cannot ${action}: ${problem}`).join("\n"));
    this.problems = problems;
  }
}

const MAX_SHOWN = 80;

/** A value as it may be shown: quoted, short, and without a password that a URL carries. */
export function showValue(value: unknown): string {
  if (typeof value === "string") return quoteText(value.replace(/\/\/[^/@]*@/, "//…@"), MAX_SHOWN);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object" && value !== null) return "a section";
  return String(value);
}

/** The message for one zod issue about a setting that was given. */
export function describeIssue(issue: z.core.$ZodIssue, given: Given): string {
  const { field } = given;
  const index = issue.path[field.path.length];
  const item = Array.isArray(given.value) && typeof index === "number" ? given.value[index] : given.value;
  const rule = issue.code !== "custom" && field.rule ? field.rule : issue.message;
  return `${given.origin} ${mustBe(rule)}, got ${field.secret ? "something else (not shown)" : showValue(item)}`;
}

/** The message for a setting that nobody gave. */
export function describeMissing(field: Field): string {
  if (field.positional) return `<${field.placeholder ?? field.flag}> must be given${choicesOf(field)}`;
  return `--${field.flag} must be given (or ${field.environment}, or ${field.fileKey} in the config file)`;
}

function choicesOf(field: Field): string {
  return field.choices.length === 0 ? "" : `: one of ${field.choices.join(", ")}`;
}

export function mustBe(rule: string): string {
  return rule.startsWith("must ") ? rule : `must be ${rule}`;
}

/** What a value must be, for zod's own checks. A message written into a schema wins over this. */
export function ruleOf(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case "invalid_type":
      return TYPE_RULES[String(issue.expected)] ?? `of type ${issue.expected}`;
    case "invalid_value":
      return (issue.values.length === 1 ? "" : "one of ") + issue.values.map(String).join(", ");
    case "too_small":
      return boundRule(issue.inclusive === false ? "more than" : "at least", issue.minimum, issue.origin);
    case "too_big":
      return boundRule(issue.inclusive === false ? "less than" : "at most", issue.maximum, issue.origin);
    case "not_multiple_of":
      return `a multiple of ${issue.divisor}`;
    case "invalid_format":
      return issue.format === "regex" ? `text like ${issue.pattern}` : FORMAT_RULES[issue.format] ?? issue.format;
    default:
      return "valid";
  }
}

const TYPE_RULES: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a section",
};

const FORMAT_RULES: Readonly<Record<string, string>> = {
  url: "a URL",
  email: "an e-mail address",
  ipv4: "an IPv4 address",
  ipv6: "an IPv6 address",
  cidrv4: "an IPv4 network such as 10.0.0.0/8",
  cidrv6: "an IPv6 network such as fd00::/8",
  base64: "base64",
  hex: "hexadecimal",
  uuid: "a UUID",
};

function boundRule(bound: string, limit: unknown, origin: string): string {
  if (origin === "string") return `${bound} ${limit} ${limit === 1 ? "character" : "characters"} long`;
  if (origin === "array") return `${bound} ${limit} ${limit === 1 ? "value" : "values"}`;
  return `${bound} ${limit}`;
}
