/**
 * `deno task compile [role…] [--target …] [--out dist] [--allow-all] [--dry-run]`: Culvert as executables for six platforms, by
 * `deno compile`. That fetches a runtime for each from dl.deno.land; where it cannot, `deno task bundle` needs nothing.
 */

import { fromFileUrl, resolve } from "@std/path";
import { CulvertError } from "../protocol/errors.ts";
import { compileWords, shellLine } from "./compile_command.ts";
import { executablesOf } from "./executables.ts";
import { type Target, targets, targetsOf } from "./targets.ts";
import { runTask } from "./task.ts";
import { findWorkerModules } from "./worker_modules.ts";

const USAGE = `Usage: deno task compile [role…] [--target <target>]… [--out dist] [--allow-all] [--dry-run]

Makes executables of culvert with every role, or one of each role that is named, by deno compile.

  --target <target>  may stand several times; default all:
                     ${targets.join("\n                     ")}
  --out <folder>     where they are put; default dist
  --allow-all        let those of one role do everything, as exit --tun and client --tun have to
  --dry-run          only print the commands`;

/** Gives the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const flags = { booleans: ["allow-all", "dry-run"], strings: ["out", "target"] };
  return await runTask({ args, usage: USAGE, flags }, async ({ roles, isSet, valuesOf }) => {
    const root = fromFileUrl(new URL("../", import.meta.url));
    const out = valuesOf("out").at(-1);
    const workerModules = findWorkerModules(root);
    const executables = executablesOf(roles, { mayDoAll: isSet("allow-all") });
    for (const target of targetsOf(valuesOf("target"))) {
      for (const executable of executables) {
        const place = out === undefined ? "dist" : resolve(out);
        const words = compileWords(executable, { target, out: place, workerModules });
        console.log(shellLine(["deno", ...words]));
        if (!isSet("dry-run")) await compile(words, { root, target });
      }
    }
  });
}

async function compile(
  words: string[],
  { root, target }: { readonly root: string; readonly target: Target },
): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args: words, cwd: root }).output();
  if (success) return;
  const complaint = new TextDecoder().decode(stderr).trim();
  if (isOutOfReach(complaint)) throw new CulvertError("unreachable", unreachableText(target));
  throw new CulvertError("deno_failed", `Cannot compile for ${target}: ${complaint}`);
}

/** Whether what it said is that the runtime cannot be fetched. */
export function isOutOfReach(complaint: string): boolean {
  return /dl\.deno\.land|denort/.test(complaint);
}

function unreachableText(target: Target): string {
  return `Cannot compile for ${target}: Deno's runtime for it must be fetched from https://dl.deno.land, and cannot be from here.
Fetch it elsewhere and name its file in DENORT_BIN, or make an executable for this platform without it: deno task bundle`;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
