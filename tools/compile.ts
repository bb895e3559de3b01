/**
 * `deno task compile [role…] [--target …] [--out dist] [--allow-all] [--dry-run]`: Culvert as executables for six platforms, by
 * `deno compile`. That fetches a runtime for each from dl.deno.land; where it cannot, `deno task bundle` needs nothing.
 */

import { fromFileUrl, join, resolve } from "@std/path";
import { CulvertError } from "../protocol/errors.ts";
import { bundleCode } from "./code_bundle.ts";
import { type CompileOptions, compileWords, shellLine } from "./compile_command.ts";
import { type Executable, executablesOf } from "./executables.ts";
import { makeOutputFolder } from "./output_folder.ts";
import { requireRuntimeFor } from "./runtime_file.ts";
import { type Target, targets, targetsOf } from "./targets.ts";
import { runTask } from "./task.ts";

const USAGE = `Usage: deno task compile [role…] [--target <target>]… [--out dist] [--allow-all] [--dry-run]

Makes executables of culvert with every role, or one of each role that is named, by deno compile.

  --target <target>  may stand several times; default all:
                     ${targets.join("\n                     ")}
  --out <folder>     where they are put; default dist
  --allow-all        let those of one role do everything, as exit --tun and client --tun have to
  --dry-run          only print the commands, as if the bundled code were in dist/code`;

/** Gives the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const flags = { booleans: ["allow-all", "dry-run"], strings: ["out", "target"] };
  return await runTask({ args, usage: USAGE, flags }, async ({ roles, isSet, valuesOf }) => {
    const executables = executablesOf(roles, { mayDoAll: isSet("allow-all") });
    const chosen = targetsOf(valuesOf("target"));
    const root = fromFileUrl(new URL("../", import.meta.url));
    const out = resolve(valuesOf("out").at(-1) ?? join(root, "dist"));
    if (isSet("dry-run")) return printCommands(executables, chosen, { code: join(out, "code"), out });
    await requireRuntime(Deno.env.get("DENORT_BIN"), chosen);
    await makeOutputFolder(out);
    const code = await Deno.makeTempDir({ prefix: "culvert-compile-" });
    try {
      await bundleCode(root, code);
      for (const target of chosen) {
        for (const executable of executables) await compile(executable, { target, code, out });
      }
    } finally {
      await Deno.remove(code, { recursive: true });
    }
  });
}

/** A runtime that is named is one for one platform. */
async function requireRuntime(path: string | undefined, chosen: readonly Target[]): Promise<void> {
  if (path === undefined) return;
  const [target, ...others] = chosen;
  if (target !== undefined && others.length === 0) return await requireRuntimeFor(target, path);
  throw new CulvertError(
    "bad_target",
    `Cannot compile: with DENORT_BIN, a runtime for one platform, there must be one --target, got ${chosen.length}`,
  );
}

function printCommands(
  executables: readonly Executable[],
  chosen: readonly Target[],
  { code, out }: { readonly code: string; readonly out: string },
): void {
  for (const target of chosen) {
    for (const executable of executables) {
      console.log(shellLine(["deno", ...compileWords(executable, { target, code, out })]));
    }
  }
}

async function compile(executable: Executable, options: CompileOptions): Promise<void> {
  const args = compileWords(executable, options);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
  if (success) return console.log(args[args.indexOf("--output") + 1]);
  const complaint = new TextDecoder().decode(stderr).trim();
  if (isOutOfReach(complaint)) throw new CulvertError("unreachable", unreachableText(options.target));
  throw new CulvertError("deno_failed", `Cannot compile for ${options.target}: ${complaint}`);
}

/** Whether what it said is that the runtime cannot be fetched. */
export function isOutOfReach(complaint: string): boolean {
  return /dl\.deno\.land/.test(complaint);
}

function unreachableText(target: Target): string {
  return `Cannot compile for ${target}: Deno's runtime for it must be fetched from https://dl.deno.land, and cannot be from here.
Fetch it elsewhere and name its file in DENORT_BIN, with --target ${target}, or make an executable for this platform without it: deno task bundle`;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
