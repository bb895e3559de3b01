/**
 * `culvert manager status`: how the manager and its services are; everything there is to know of those that are named.
 */

import { z } from "zod";
import type { ManagerReport } from "../../protocol/manager/report.ts";
import { defineRole, type Role } from "../role.ts";
import { Asking, askingConfig, chosenServices, serviceNames } from "./asking.ts";
import { knownWithoutManager, showKnown } from "./known_services.ts";
import { managerLines, serviceLines } from "./status_text.ts";
import { outputPaint } from "./styles.ts";
import { Systemctl } from "./systemctl.ts";

const config = z.object({
  names: serviceNames("Which services, to hear all of them; a line for each there is unless given."),
  ...askingConfig,
});

export const statusRole: Role<typeof config> = defineRole({
  name: "manager-status",
  summary: "How the manager and its services are, and why.",
  config,
  examples: ["culvert manager status", "culvert manager status kcp", "culvert manager status --json"],
  longRunning: false,
  async run({ names, ...places }, context) {
    const asking = new Asking(places, context);
    const report = await asking.tryReport();
    if (!report) {
      const known = await knownWithoutManager(asking.places, new Systemctl(context));
      showKnown(chosenServices(names, known), context);
      return asking.refuse();
    }
    const chosen: ManagerReport = { ...report, services: chosenServices(names, report.services) };
    if (context.json) return context.print(JSON.stringify(chosen));
    const paint = outputPaint();
    const lines = names.length === 0 ? managerLines(report, paint) : chosen.services.flatMap((
      service,
      at,
    ) => [...at > 0 ? [""] : [], ...serviceLines(service, report.nowMs, paint)]);
    for (const line of lines) context.print(line);
  },
});
