/**
 * Settings given as `--set key=value`, and whether a kind can do with them: its own schema decides, and says what is wrong.
 */

import { z } from "zod";
import { inputOfTable } from "../../config.ts";
import { didYouMean, kebabCase } from "../../config/names.ts";
import { type Field, fieldsOf } from "../../config/schema.ts";
import { showValue } from "../../config/problems.ts";
import { escapeText } from "../../escape.ts";
import type { Answers } from "./config_text.ts";
import { answersTo, type ServiceKind } from "./kind.ts";

export interface ReadAnswers {
  readonly answers: Answers;
  readonly problems: readonly string[];
}

/** A setting that is no list may be given again: the last one counts. Any spelling of its name will do. */
export function readAnswers(pairs: readonly string[], { name, settings }: ServiceKind): ReadAnswers {
  const fields = fieldsOf(settings);
  const answers: Record<string, string | string[]> = {};
  const problems: string[] = [];
  for (const pair of pairs) {
    const equals = pair.indexOf("=");
    // A pair without a key may be a secret: it is not repeated.
    if (equals <= 0) {
      problems.push("--set must be key=value");
      continue;
    }
    const key = pair.slice(0, equals), value = pair.slice(equals + 1);
    const field = fields.find(({ flag }) => flag === kebabCase(key.replaceAll(".", "-")));
    if (!field) {
      const hint = didYouMean(key, fields.map(({ fileKey }) => fileKey));
      problems.push(`--set ${escapeText(key, 80)} must be a setting of ${name}${hint}`);
    } else if (field.repeatable) answers[field.fileKey] = [...answersTo(answers, field.fileKey), value];
    else answers[field.fileKey] = value;
  }
  return { answers, problems };
}

/** What the kind's schema says against the answers; a question that must be answered and is not is named too. */
export function answerProblems(answers: Answers, { settings, questions }: ServiceKind): string[] {
  const fields = fieldsOf(settings);
  const isWord = ({ positional }: Field) => positional === true;
  const written = Object.entries(answers).filter(([key]) =>
    !fields.some((field) => field.fileKey === key && isWord(field))
  );
  const place = { file: "--set", section: "" };
  const missing = questions.filter(({ key, needed }) => needed && answersTo(answers, key).length === 0);
  const { problems } = inputOfTable(
    withoutWords(settings, fields.filter(isWord)),
    nested(Object.fromEntries(written)),
    place,
  );
  return [
    // What is required and missing is said below, in the words of this command.
    ...problems.filter((problem) => !problem.startsWith("--")),
    ...fields.filter(isWord).flatMap((field) => wordProblems(field, answers, settings)),
    ...missing.map(({ key, text }) => `--set ${key}=… must be given: ${text}`),
  ];
}

/** Words of the command line stand in no file. */
function withoutWords(settings: ServiceKind["settings"], words: readonly Field[]): ServiceKind["settings"] {
  const keys = new Set(words.map(({ path }) => path[0]!));
  return z.object(Object.fromEntries(Object.entries(settings.shape).filter(([key]) => !keys.has(key))));
}

function wordProblems(field: Field, answers: Answers, settings: ServiceKind["settings"]): string[] {
  const answer = answersTo(answers, field.fileKey).at(-1);
  if (answer === undefined) return [];
  const schema = settings.shape[field.path[0]!]!;
  const value = field.repeatable ? answersTo(answers, field.fileKey) : answer;
  if (schema.safeParse(value).success) return [];
  const rule = field.choices.length > 0 ? `one of ${field.choices.join(", ")}` : field.rule ?? "another value";
  return [
    `${field.fileKey} in --set must be ${rule}, got ${field.secret ? "something else (not shown)" : showValue(value)}`,
  ];
}

/** `limits.max_streams` is a key within a section, as in a file. */
function nested(answers: Answers): Record<string, unknown> {
  const table: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(answers)) {
    const path = key.split(".");
    let at = table;
    for (const section of path.slice(0, -1)) at = (at[section] ??= {}) as Record<string, unknown>;
    at[path.at(-1)!] = value;
  }
  return table;
}
