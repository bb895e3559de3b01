/**
 * What the tasks of this folder have in common: roles and flags as words, wrong ones told with exit code 2, other failures
 * with 1.
 */

import { parseArgs } from "@std/cli/parse-args";
import { CulvertError } from "../protocol/errors.ts";

export interface TaskFlags {
  readonly booleans: string[];
  /** Those with values; each may stand several times. */
  readonly strings: string[];
}

export interface TaskWords {
  readonly roles: readonly string[];
  isSet(flag: string): boolean;
  valuesOf(flag: string): readonly string[];
}

/** Codes of what is wrong with the words themselves. */
const WRONG_WORDS = ["bad_flag", "bad_role", "bad_target"];

/** Runs a task with its words and gives the exit code. */
export async function runTask(
  { args, usage, flags }: { readonly args: readonly string[]; readonly usage: string; readonly flags: TaskFlags },
  run: (words: TaskWords) => Promise<void>,
): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    console.log(usage);
    return 0;
  }
  try {
    await run(readWords(args, flags));
    return 0;
  } catch (error) {
    if (!(error instanceof CulvertError)) throw error;
    console.error(error.message);
    return WRONG_WORDS.includes(error.code) ? 2 : 1;
  }
}

export function readWords(args: readonly string[], { booleans, strings }: TaskFlags): TaskWords {
  const parsed = parseArgs(args, {
    boolean: booleans,
    string: strings,
    collect: strings,
    unknown(arg) {
      if (!arg.startsWith("-")) return true;
      const known = [...booleans, ...strings].map((name) => `--${name}`).join(", ");
      throw new CulvertError("bad_flag", `Cannot read the flags: each must be one of ${known}, got ${arg}`);
    },
  }) as { _: (string | number)[] } & Record<string, unknown>;
  const valuesOf = (flag: string) => parsed[flag] as readonly string[];
  for (const flag of strings) {
    if (valuesOf(flag).includes("")) {
      throw new CulvertError("bad_flag", `Cannot read the flags: --${flag} must have a value, got none`);
    }
  }
  return { roles: parsed._.map(String), isSet: (flag) => parsed[flag] === true, valuesOf };
}
