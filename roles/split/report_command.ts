/** `culvert proxy report`: what a proxy that splits has found so far. */

import { z } from "zod";
import { CulvertError } from "../../protocol/errors.ts";
import { formatTarget } from "../../protocol/stream.ts";
import { listenAddress } from "../fields.ts";
import { defineRole, type Role, runRole } from "../role.ts";
import { splitReportLines } from "./report_lines.ts";
import { askSplitReport } from "./report_socket.ts";

const config = z.object({
  listen: listenAddress("127.0.0.1:1080").describe("Where the proxy listens, as it was told."),
});

export const role: Role<typeof config> = defineRole({
  name: "proxy-report",
  summary: "Which of its paths a proxy with --combine split has found better, and in what.",
  config,
  longRunning: false,
  examples: ["culvert proxy report", "culvert proxy report --listen 127.0.0.1:1081 --json"],
  async run({ listen }, context) {
    const report = await askSplitReport(context.stateDir, listen, context);
    if (!report) {
      throw new CulvertError(
        "not_running",
        `Cannot report: no proxy that splits listens on ${formatTarget(listen)} with state in ${context.stateDir}`,
      );
    }
    if (context.json) return context.print(JSON.stringify(report));
    for (const line of splitReportLines(report)) context.print(line);
  },
});

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
