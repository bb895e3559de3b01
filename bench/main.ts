/**
 * `deno task bench <subject> [--quick] [--json]`: measures us and every installed rival on the same work in the same
 * run and prints a table; with `--json` the last line is one object (design §8). Without a subject it lists them.
 */

import { parseArgs } from "@std/cli/parse-args";
import { closestString } from "@std/text/closest-string";
import { outcomeOf, type Subject } from "./subject.ts";
import { subjects } from "./subjects.ts";
import { formatOutcome } from "./table.ts";

const USAGE = "Usage: deno task bench <subject> [--quick] [--json]";

/** Runs one subject, or lists them; gives the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const unknown: string[] = [];
  const flags = parseArgs(args, {
    boolean: ["quick", "json", "help"],
    unknown: (arg) => arg.startsWith("-") ? (unknown.push(arg), false) : true,
  });
  if (unknown.length > 0) return complain(`Cannot measure: the flags must be --quick or --json, got ${unknown[0]}`);
  const [name, ...rest] = flags._.map(String);
  if (rest.length > 0) return complain(`Cannot measure: there must be one subject, got ${[name, ...rest].join(" ")}`);
  if (name === undefined || flags.help) {
    console.log(listOf(subjects));
    return 0;
  }
  const subject = subjects.find((each) => each.name === name);
  if (!subject) {
    const nearest = closestString(name, subjects.map((each) => each.name));
    return complain(`Cannot measure: the subject must be one of the list, got ${name}; did you mean ${nearest}?`);
  }
  const isQuick = flags.quick === true;
  const report = (line: string) => console.error(`… ${line}`);
  const outcome = outcomeOf(subject, await subject.measure({ quick: isQuick, report }), isQuick);
  console.log(formatOutcome(outcome));
  if (flags.json) console.log(JSON.stringify(outcome));
  return 0;
}

function listOf(subjects: readonly Subject[]): string {
  const width = Math.max(...subjects.map(({ name }) => name.length));
  return [USAGE, "", ...subjects.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`)].join("\n");
}

function complain(message: string): number {
  console.error(`${message}\n\n${listOf(subjects)}`);
  return 2;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
