/**
 * `deno task pack`: the npm package of the library.
 */

import { dirname, fromFileUrl, join, resolve } from "@std/path";
import project from "../deno.json" with { type: "json" };
import { makePackage } from "./npm/package.ts";
import { makeOutputFolder } from "./output_folder.ts";
import { runTask } from "./task.ts";

const USAGE = `Make the npm package of the library.

deno task pack [--out FOLDER]

  --out FOLDER   where to put it (default: dist)`;

const root = dirname(dirname(fromFileUrl(import.meta.url)));
const flags = { booleans: [], strings: ["out"] };

if (import.meta.main) {
  Deno.exitCode = await runTask({ args: Deno.args, usage: USAGE, flags }, async ({ valuesOf }) => {
    const file = `${project.name.replace("@", "").replace("/", "-")}-${project.version}.tgz`;
    const out = resolve(valuesOf("out").at(-1) ?? join(root, "dist"));
    const output = join(out, file);
    await makeOutputFolder(out);
    await makePackage({ root, output });
    console.log(output);
  });
}
