/**
 * Culvert's code as JavaScript files that need nothing else, packages included: what `deno bundle` makes of `roles/main.ts`
 * and of the modules that Workers begin with.
 *
 *   roles/main.js                    started
 *   native/relay/main_relay.js …     what Workers begin with
 *   chunk-….js, supernode-….js …     what these import, each file when it is needed
 *   main_relay.ts …                  beside a file that starts a Worker by this name: leads to what it begins with
 *
 * It is split, not one file, because roles are loaded as they are needed, and because a role's file does not run itself
 * only as long as it is not the one that was started.
 */

import { basename, dirname, join, relative } from "@std/path";
import { CulvertError } from "../protocol/errors.ts";
import { findWorkerModules, workerUrls } from "./worker_modules.ts";

/** What is started, from the folder. */
export const MAIN = "roles/main.js";

/** Makes the files in a folder, which must be empty. */
export async function bundleCode(root: string, folder: string): Promise<void> {
  const workers = findWorkerModules(root);
  await runDeno(root, ["bundle", "--quiet", "--code-splitting", "--outdir", folder, "roles/main.ts", ...workers]);
  const cache = new RegExp(`${escapeRegExp(relative(root, await npmCache(root)))}/[^/]+/`, "g");
  for (const file of filesIn(folder)) {
    const text = await Deno.readTextFile(join(folder, file));
    await leadToWorkers(folder, { file, text, workers });
    // Comments name the file each part came from. Where this machine has packages, and where it got them, is its own affair.
    await Deno.writeTextFile(join(folder, file), text.replace(cache, "npm:"));
  }
}

interface BundledFile {
  readonly file: string;
  readonly text: string;
  readonly workers: readonly string[];
}

/** Code has moved to other folders, but still names Workers' modules as if they were beside it. Now they are. */
async function leadToWorkers(folder: string, { file, text, workers }: BundledFile): Promise<void> {
  for (const name of workerUrls(text)) {
    const meant = workers.filter((worker) => basename(worker) === basename(name));
    if (meant.length !== 1) {
      const got = meant.length === 0 ? "none" : meant.join(" and ");
      throw new CulvertError("ambiguous", `Cannot bundle: one module must be named ${name}, got ${got}`);
    }
    const from = dirname(file);
    const target = relative(from, meant[0]!.replace(/\.ts$/, ".js"));
    await Deno.writeTextFile(join(folder, from, name), `import ${JSON.stringify(`./${target}`)};\n`);
  }
}

function escapeRegExp(text: string): string {
  return text.replace(/[^\w/]/g, "\\$&");
}

async function npmCache(root: string): Promise<string> {
  const { npmCache } = JSON.parse(await runDeno(root, ["info", "--json"])) as { npmCache: string };
  return npmCache;
}

/** Every file in a folder, as sorted paths from it. */
export function filesIn(folder: string, below = ""): string[] {
  return [...Deno.readDirSync(join(folder, below))].flatMap(({ name, isDirectory }) => {
    const path = join(below, name);
    return isDirectory ? filesIn(folder, path) : [path];
  }).sort();
}

/** What it prints; rejects with what it complained of. */
async function runDeno(cwd: string, args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd }).output();
  if (success) return new TextDecoder().decode(stdout);
  const complaint = new TextDecoder().decode(stderr).trim();
  throw new CulvertError("deno_failed", `Cannot run deno ${args[0]}: ${complaint}`);
}
