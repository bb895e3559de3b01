/** The platforms that `deno compile` makes executables for. */

import { CulvertError } from "../protocol/errors.ts";

export const targets = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
  "aarch64-pc-windows-msvc",
] as const;

export type Target = typeof targets[number];

/** Those that are named; without any, all. Throws `bad_target`. */
export function targetsOf(names: readonly string[]): readonly Target[] {
  const isTarget = (name: string): name is Target => (targets as readonly string[]).includes(name);
  const wrong = names.find((name) => !isTarget(name));
  if (wrong !== undefined) {
    const all = targets.join(", ");
    throw new CulvertError("bad_target", `Cannot compile: the target must be one of ${all}, got ${wrong}`);
  }
  return names.length === 0 ? targets : targets.filter((target) => names.includes(target));
}
