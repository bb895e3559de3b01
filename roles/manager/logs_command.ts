/**
 * `culvert manager logs`: what services have written, and with `-f` what they write from now on. Files are read where the
 * manager runs the processes itself, the journal where systemd does; no manager needs to run.
 */

import { z } from "zod";
import { defineRole, type Role } from "../role.ts";
import { askingConfig, serviceNames } from "./asking.ts";

const config = z.object({
  names: serviceNames("Which services; all unless given."),
  follow: z.boolean().default(false).describe("Go on until stopped, through cuts of the files.").meta({ short: "f" }),
  lines: z.number().int().min(0).max(100_000).default(50).describe("How many of the last lines of each.")
    .meta({ short: "n", placeholder: "count" }),
  ...askingConfig,
});

export const logsRole: Role<typeof config> = defineRole({
  name: "manager-logs",
  summary: "What services have written to their logs, and what they write from now on.",
  config,
  examples: ["culvert manager logs kcp", "culvert manager logs -f kcp paqet", "culvert manager logs kcp -n 500"],
  longRunning: false,
  run: () => Promise.resolve(),
});
