/**
 * `culvert manager list`: which services there are, in what state, and what they are for; without a manager, what the
 * service files name (`known_services.ts`), and exit code 1.
 */

import { z } from "zod";
import type { ServiceReport } from "../../protocol/manager/report.ts";
import { defineRole, type Role } from "../role.ts";
import { Asking, askingConfig } from "./asking.ts";
import { knownWithoutManager, showKnown } from "./known_services.ts";
import { outputPaint } from "./styles.ts";
import { type StyledColumn, styledTable } from "./styled_table.ts";
import { stateCell } from "./stats_columns.ts";
import { Systemctl } from "./systemctl.ts";

const WIDTH = 80;

const config = z.object(askingConfig);

export const listRole: Role<typeof config> = defineRole({
  name: "manager-list",
  summary: "Which services there are on this machine, and in what state.",
  config,
  examples: ["culvert manager list", "culvert manager list --json"],
  longRunning: false,
  async run(config, context) {
    const asking = new Asking(config, context);
    const report = await asking.tryReport();
    if (!report) {
      showKnown(await knownWithoutManager(asking.places, new Systemctl(context)), context);
      return asking.refuse();
    }
    const { services, problems } = report;
    if (context.json) return context.print(JSON.stringify({ services, problems }));
    if (services.length === 0) context.print(`There are no services: no usable file lies in ${asking.places.services}`);
    else {
      const { head, lines } = styledTable(columns, services, { width: WIDTH, paint: outputPaint() });
      for (const line of [head, ...lines]) context.print(line);
    }
    for (const problem of problems) context.tell(problem);
  },
});

const columns: readonly StyledColumn<ServiceReport>[] = [
  { title: "service", cell: ({ name }) => name },
  { title: "state", cell: stateCell },
  { title: "at boot", cell: ({ enabled }) => enabled ? "starts" : "-" },
  { title: "listens", cell: ({ listen }) => listen.join(" ") || "-", cutTo: 14 },
  { title: "what it is", cell: ({ description }) => description, cutTo: 8 },
];
