/**
 * `culvert kcp import`: what is set in a file of paqet or of GFW-knocker, as a configuration file of ours.
 *
 *   culvert kcp import config.yaml --out culvert.toml && culvert kcp client --config culvert.toml
 *
 * What means nothing here is named on standard error, one line each; what cannot be done is refused before anything is written.
 */

import { z } from "zod";
import { stringify } from "@std/toml";
import { CulvertError } from "../../protocol/errors.ts";
import { fileKey } from "../config/names.ts";
import { filePath } from "../fields.ts";
import { createPrivateFile } from "../private_file.ts";
import { defineRole, type Role, type RoleContext } from "../role.ts";
import { importGfk } from "./import_gfk.ts";
import { importPaqet } from "./import_paqet.ts";
import type { ImportedSettings } from "./imported.ts";
import { configOf } from "./imported_config.ts";

export const importConfig = z.object({
  file: filePath().describe("The file: config.yaml of paqet or gfk, or parameters.py.")
    .meta({ positional: true, placeholder: "file" }),
  from: z.enum(["paqet", "gfk"]).optional().describe("Whose it is.").meta({ defaultText: "what it looks like" }),
  side: z.enum(["client", "server"]).optional().describe(
    "parameters.py: whose settings to make, since it serves both.",
  ),
  out: filePath().optional().describe("Write it to this file, which nobody else may read."),
});
export type ImportConfig = z.output<typeof importConfig>;

type ImportContext = Pick<RoleContext, "json" | "print" | "log">;

export async function runImport({ file, from, side, out }: ImportConfig, context: ImportContext): Promise<void> {
  const text = await Deno.readTextFile(file).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new CulvertError("not_found", `Cannot import ${file}: it must be a file, and there is none`);
  });
  const settings = importText(text, { file, from, side });
  const { role, values, notes } = configOf(settings);
  for (const note of notes) context.log.warn(note);
  if (context.json) return context.print(JSON.stringify({ role, values, notes }));
  const toml = `# From ${settings.program}: culvert ${role.replace("-", " ")} --config this-file\n${
    stringify({ [role]: Object.fromEntries(Object.entries(values).map(([key, value]) => [fileKey([key]), value])) })
      .trim()
  }\n`;
  if (out === undefined) return context.print(toml.trimEnd());
  await createPrivateFile(out, new TextEncoder().encode(toml));
  context.print(`${out} is for culvert ${role.replace("-", " ")} --config ${out}`);
}

export const importRole: Role<typeof importConfig> = defineRole({
  name: "kcp-import",
  summary: "Makes a configuration file of one of paqet or of GFW-knocker.",
  config: importConfig,
  examples: [
    "culvert kcp import config.yaml --out culvert.toml",
    "culvert kcp import parameters.py --side client --out culvert.toml",
  ],
  longRunning: false,
  run: runImport,
});

/** Told apart by what only one of them has. */
export function importText(
  text: string,
  { file, from, side }: { readonly file: string } & { readonly [K in "from" | "side"]: ImportConfig[K] | undefined },
): ImportedSettings {
  const program = from ?? (file.endsWith(".py") || /^\s*carrier\s*:/m.test(text) ? "gfk" : "paqet");
  return program === "paqet" ? importPaqet(text) : importGfk(text, file, side);
}
