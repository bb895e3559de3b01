/**
 * The words of `deno compile` for one executable and one platform: of the bundled code, the permissions of the role, and the
 * role as first word.
 *
 * Of the sources themselves it would take neither what is imported when it is needed nor what Workers begin with.
 */

import { join } from "@std/path";
import { MAIN } from "./code_bundle.ts";
import { closedFlags } from "./closed_flags.ts";
import type { Executable } from "./executables.ts";
import { permissionFlags } from "./role_permissions.ts";
import type { Target } from "./targets.ts";

export interface CompileOptions {
  readonly target: Target;
  /** Where the bundled code is. */
  readonly code: string;
  /** Where the file is put. */
  readonly out: string;
}

/** Behind `deno`. */
export function compileWords(
  { name, words, permissions }: Executable,
  { target, code, out }: CompileOptions,
): string[] {
  return [
    ...["compile", "--no-check", ...closedFlags(), ...permissionFlags(permissions)],
    ...["--include", code, "--target", target],
    ...["--output", join(out, `${name}-${target}${target.includes("windows") ? ".exe" : ""}`)],
    ...[join(code, MAIN), ...words],
  ];
}

/** For a shell, to be read and copied. */
export function shellLine(words: readonly string[]): string {
  return words.map((word) => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
}
