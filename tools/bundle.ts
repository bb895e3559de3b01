/**
 * `deno task bundle [role…] [--out dist] [--allow-all]`: Culvert as one file that needs neither Deno nor Node, for the system
 * that this runs on, from the Deno that this runs on. Nothing is fetched. docs/executables.md
 */

import { fromFileUrl, join, resolve } from "@std/path";
import { executablesOf } from "./executables.ts";
import { makeOutputFolder } from "./output_folder.ts";
import { makeSelfExtracting } from "./self_extracting.ts";
import { runTask } from "./task.ts";

const USAGE = `Usage: deno task bundle [role…] [--out dist] [--allow-all]

Makes one executable file of culvert with every role, or one of each role that is named, for this platform.

  --out <folder>   where they are put; default dist
  --allow-all      let those of one role do everything, as exit --tun and client --tun have to`;

/** Gives the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const flags = { booleans: ["allow-all"], strings: ["out"] };
  return await runTask({ args, usage: USAGE, flags }, async ({ roles, isSet, valuesOf }) => {
    const executables = executablesOf(roles, { mayDoAll: isSet("allow-all") });
    const root = fromFileUrl(new URL("../", import.meta.url));
    const out = resolve(valuesOf("out").at(-1) ?? join(root, "dist"));
    await makeOutputFolder(out);
    for (const path of await makeSelfExtracting(executables, { root, out, level: 9 })) {
      console.log(`${path}  ${Math.round((await Deno.stat(path)).size / 2 ** 20)} MiB`);
    }
  });
}

if (import.meta.main) Deno.exit(await main(Deno.args));
