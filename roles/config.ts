/**
 * Settings from four places, by one zod schema. What wins, first to last: flags, `CULVERT_*` variables, the file that
 * `--config` names, the schema's defaults.
 *
 *   schema → fields ─┬─ flags, variables, file → given values → one input object → schema.parse → settings
 *                    └─ help, completions
 *
 * Every problem found is reported at once, as a ConfigError. Reading the file and the environment is handed in.
 */

import type { z } from "zod";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import { readEnvironment } from "./config/environment.ts";
import { readFileText, readSection, type Table } from "./config/file.ts";
import { readFlags } from "./config/flags.ts";
import { ConfigError, describeIssue, describeMissing, type Given, mustBe, ruleOf } from "./config/problems.ts";
import { type Field, fieldsOf, requiredGroups } from "./config/schema.ts";

export { ConfigError } from "./config/problems.ts";
export { wantsHelp } from "./config/flags.ts";

/** Where settings come from. */
export interface ConfigSources {
  readonly args: readonly string[];
  env(name: string): string | undefined;
  readTextFile(path: string): Promise<string>;
}

/** What is being configured: several schemas side by side, so that a role's own and the common ones stay apart. */
export interface ConfigSubject<G extends Readonly<Record<string, z.ZodObject>>> {
  readonly role: string;
  /** What cannot be done when a setting is wrong: "start proxy". */
  readonly action: string;
  /** Every role's name: their sections may stand in a config file. */
  readonly roles: readonly string[];
  readonly groups: G;
}

export type Settings<G extends Readonly<Record<string, z.ZodObject>>> = { [K in keyof G]: z.output<G[K]> };

/** Reads, merges and checks the settings; rejects with a ConfigError that names every problem. */
export async function readConfig<G extends Readonly<Record<string, z.ZodObject>>>(
  subject: ConfigSubject<G>,
  sources: ConfigSources,
): Promise<Settings<G>> {
  const groups = Object.entries(subject.groups).map(([name, schema]) => ({ name, schema, fields: fieldsOf(schema) }));
  const fields = groups.flatMap((group) => group.fields);
  requireDistinct(subject.role, fields);
  const flags = readFlags(sources.args, fields);
  const environment = readEnvironment(sources.env, fields);
  const file = await readConfigFile(subject, { fields, sources, given: [...environment, ...flags.given] });
  const given = new Map([...file.given, ...environment, ...flags.given].map((value) => [value.field, value]));
  const problems = [...flags.problems, ...file.problems];
  const settings: Record<string, unknown> = {};
  for (const { name, schema, fields } of groups) {
    const parsed = schema.safeParse(inputOf(schema, fields, given), { error: ruleOf });
    if (parsed.success) settings[name] = parsed.data;
    else problems.push(...describeIssues(parsed.error.issues, fields, given));
  }
  if (problems.length > 0) throw new ConfigError(subject.action, problems);
  return settings as Settings<G>;
}

/** A table of settings within a file: its name, and where in it, with a dot behind. */
export interface SectionPlace {
  readonly file: string;
  readonly section: string;
}

/** What the schema is to parse of a table as a file holds it, fit to be handed to a Worker; and every problem with it. */
export function inputOfTable(
  schema: z.ZodObject,
  table: Table,
  { file, section }: SectionPlace,
): { readonly input: Record<string, unknown>; readonly problems: readonly string[] } {
  const fields = fieldsOf(schema);
  const read = readSection(table, section, { name: file, roles: [], fields });
  const given = new Map(read.given.map((value) => [value.field, value]));
  const input = inputOf(schema, fields, given);
  const parsed = schema.safeParse(input, { error: ruleOf });
  const issues = parsed.success ? [] : describeIssues(parsed.error.issues, fields, given);
  return { input, problems: [...read.problems, ...issues] };
}

function requireDistinct(role: string, fields: readonly Field[]): void {
  const seen = new Set<string>();
  for (const name of fields.flatMap(({ flag, short }) => short ? [`--${flag}`, `-${short}`] : [`--${flag}`])) {
    if (!seen.has(name)) seen.add(name);
    else throw new CulvertError("bad_schema", `Cannot define ${role}: the flag ${name} must be defined once, got two`);
  }
}

async function readConfigFile(
  subject: ConfigSubject<Readonly<Record<string, z.ZodObject>>>,
  known: { fields: readonly Field[]; sources: ConfigSources; given: readonly Given[] },
): Promise<{ given: readonly Given[]; problems: readonly string[] }> {
  const named = known.given.findLast((given) => given.field.configFile);
  if (named === undefined) return { given: [], problems: [] };
  const name = String(named.value);
  let text: string;
  try {
    text = await known.sources.readTextFile(name);
  } catch (error) {
    return { given: [], problems: [`${named.origin} must be a file that can be read: ${messageOf(error)}`] };
  }
  return await readFileText(text, { name, role: subject.role, roles: subject.roles, fields: known.fields });
}

type Input = { [key: string]: unknown };

/** The object that the schema parses: given values at their paths, and nothing where the default should apply. */
function inputOf(schema: z.ZodObject, fields: readonly Field[], given: ReadonlyMap<Field, Given>): Input {
  const input: Input = {};
  for (const path of requiredGroups(schema)) groupAt(input, path);
  for (const field of fields) {
    const value = given.get(field);
    if (value) groupAt(input, field.path.slice(0, -1))[field.path.at(-1)!] = valueOf(field, value.value);
  }
  return input;
}

function groupAt(input: Input, path: readonly string[]): Input {
  let at = input;
  for (const key of path) at = (at[key] ??= {}) as Input;
  return at;
}

/** The value in the type the schema expects, where text can be taken for it; otherwise as given, for zod to refuse. */
function valueOf(field: Field, value: unknown): unknown {
  if (!field.repeatable) return scalarOf(field, value);
  // In a file, one value may stand for a list of one.
  const items = Array.isArray(value) || typeof value === "object" ? value : [value];
  return Array.isArray(items) ? items.map((item) => scalarOf(field, item)) : items;
}

const TRUE = new Set(["true", "1", "yes", "on"]);
const FALSE = new Set(["false", "0", "no", "off"]);

function scalarOf(field: Field, value: unknown): unknown {
  // A whole number in a file stands for its text where text is expected: `max_frame = 65536`, `password = 1234`.
  if (field.kind === "string" && Number.isSafeInteger(value)) return String(value);
  if (typeof value !== "string") return value;
  if (field.kind === "number") return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value) ? Number(value) : value;
  if (field.kind === "boolean") {
    const word = value.toLowerCase();
    return TRUE.has(word) ? true : FALSE.has(word) ? false : value;
  }
  return value;
}

function describeIssues(
  issues: readonly z.core.$ZodIssue[],
  fields: readonly Field[],
  given: ReadonlyMap<Field, Given>,
): string[] {
  return issues.map((issue) => {
    const field = fields.find(({ path }) => path.every((key, at) => issue.path[at] === key));
    if (!field) return `${issue.path.length === 0 ? "the settings" : issue.path.join(".")} ${mustBe(issue.message)}`;
    const value = given.get(field);
    if (value) return describeIssue(issue, value);
    return issue.code === "custom" ? `--${field.flag} ${mustBe(issue.message)}` : describeMissing(field);
  });
}
