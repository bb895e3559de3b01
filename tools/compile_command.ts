/**
 * The words of `deno compile` for one executable and one platform: with the modules that Workers begin with, which it would not
 * find by itself, the permissions of the role, and the role as first word.
 */

import { join } from "@std/path";
import type { Executable } from "./executables.ts";
import { permissionFlags } from "./role_permissions.ts";
import type { Target } from "./targets.ts";

export interface CompileOptions {
  readonly target: Target;
  /** Where the file is put. */
  readonly out: string;
  /** Of the Workers, as paths from the root, where the command is run. */
  readonly workerModules: readonly string[];
}

/** Behind `deno`. What it needs beside, such as unstable features, it reads in deno.json. */
export function compileWords({ name, words, permissions }: Executable, options: CompileOptions): string[] {
  const { target, out, workerModules } = options;
  return [
    "compile",
    "--frozen",
    "--no-check",
    "--exclude-unused-npm",
    ...workerModules.flatMap((module) => ["--include", module]),
    ...permissionFlags(permissions),
    ...["--target", target],
    ...["--output", join(out, `${name}-${target}${target.includes("windows") ? ".exe" : ""}`)],
    "roles/main.ts",
    ...words,
  ];
}

/** For a shell, to be read and copied. */
export function shellLine(words: readonly string[]): string {
  return words.map((word) => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
}
