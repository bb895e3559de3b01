/**
 * Settings given as `--set key=value`, and whether a kind can do with them: its own schema decides, and says what is wrong.
 */

import { ConfigError, readConfig } from "../../config.ts";
import { didYouMean, kebabCase } from "../../config/names.ts";
import { type Field, fieldsOf } from "../../config/schema.ts";
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

/** What is wrong with the answers, and what must be answered and is not; each by its `--set`. */
export async function answerProblems(answers: Answers, kind: ServiceKind): Promise<string[]> {
  const missing = kind.questions(answers).filter(({ key, needed }) => needed && answersTo(answers, key).length === 0);
  return [
    ...await wrongAnswers(answers, kind),
    ...missing.map(({ key, text }) => `--set ${key}=… must be given: ${text}`),
  ];
}

/** What is wrong with one answer, or with what is known so far of several. */
export async function problemsWith(keys: readonly string[], answers: Answers, kind: ServiceKind): Promise<string[]> {
  const starts = keys.map(startOf);
  return (await wrongAnswers(answers, kind)).filter((words) => starts.some((start) => words.startsWith(start)));
}

/** What a problem with a setting begins with. */
export function startOf(key: string): string {
  return `--set ${kebabCase(key.replaceAll(".", "-"))} `;
}

/** What the kind's schema says against the answers. */
async function wrongAnswers(answers: Answers, { name, settings, suggests }: ServiceKind): Promise<string[]> {
  const fields = fieldsOf(settings);
  const subject = { role: name, action: "install", roles: [], groups: { settings } };
  // The flags of the role itself: one reader for whatever a setting is given by.
  const sources = {
    args: argumentsOf(fields, { ...suggests, ...answers }),
    env: () => undefined,
    readTextFile: () => Promise.resolve(""),
  };
  return (await problemsOf(readConfig(subject, sources))).filter((problem) => !isMissing(problem)).map(bySet);
}

function argumentsOf(fields: readonly Field[], answers: Answers): string[] {
  const given = fields.map((field) => ({ field, values: answersTo(answers, field.fileKey) }));
  const flags = given.filter(({ field }) => !field.positional);
  const words = given.filter(({ field }) => field.positional);
  return [
    ...flags.flatMap(({ field, values }) => values.map((value) => `--${field.flag}=${value}`)),
    "--",
    ...words.flatMap(({ values }) => values),
  ];
}

async function problemsOf(reading: Promise<unknown>): Promise<readonly string[]> {
  try {
    await reading;
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

/** Those are among the questions that need an answer. */
function isMissing(problem: string): boolean {
  return /^(?:--\S+ must be given \(or |<.*> must be given)/.test(problem);
}

function bySet(problem: string): string {
  return problem.replace(/^(?:--([a-z0-9-]+)|<([^>]*)>)/, (_, flag, word) => `--set ${flag ?? word}`);
}
