/**
 * `culvert version`: what runs here, for bug reports.
 */

import { z } from "zod";
import deno from "../deno.json" with { type: "json" };
import { defineRole, type Role, runRole } from "./role.ts";

export const role: Role = defineRole({
  name: "version",
  summary: "Prints the versions of culvert, Deno and V8.",
  config: z.object({}),
  examples: ["culvert version", "culvert version --json"],
  longRunning: false,
  run(_config, context) {
    const versions = { culvert: deno.version, deno: Deno.version.deno, v8: Deno.version.v8 };
    const text = `culvert ${versions.culvert} (deno ${versions.deno}, v8 ${versions.v8})`;
    context.print(context.json ? JSON.stringify(versions) : text);
    return Promise.resolve();
  },
});

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
