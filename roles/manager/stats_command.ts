/**
 * `culvert manager stats`: what each service uses and carries, once.
 */

import { z } from "zod";
import { defineRole, type Role } from "../role.ts";
import { Asking, askingConfig, chosenServices, serviceNames } from "./asking.ts";
import { statsColumns, statsRow } from "./stats_columns.ts";
import { outputPaint } from "./styles.ts";
import { styledTable } from "./styled_table.ts";

const WIDTH = 80;

const config = z.object({ names: serviceNames("Which services; all unless given."), ...askingConfig });

export const statsRole: Role<typeof config> = defineRole({
  name: "manager-stats",
  summary: "What services use and carry: CPU, memory, connections, throughput.",
  config,
  examples: ["culvert manager stats", "culvert manager stats kcp --json"],
  longRunning: false,
  async run(config, context) {
    const asking = new Asking(config, context);
    const { nowMs, stats } = await asking.stats();
    const chosen = chosenServices(config.names, stats);
    if (context.json) return context.print(JSON.stringify({ nowMs, stats: chosen }));
    const { services } = await asking.report();
    const { head, lines } = styledTable(statsColumns, chosen.map((one) => statsRow(one, services)), {
      width: WIDTH,
      paint: outputPaint(),
    });
    for (const line of [head, ...lines]) context.print(line);
  },
});
