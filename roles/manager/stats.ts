/**
 * What `culvert manager stats` and `watch` show of each service: what is reported of it and what it uses, in one row.
 */

import type { ServiceReport, ServiceStats } from "../../protocol/manager/report.ts";
import type { MeteredService } from "./limits.ts";
import type { Meter, ServiceUsage } from "./meter.ts";

export interface StatsSources {
  readonly reports: readonly ServiceReport[];
  /** Those of which a process runs. */
  readonly running: readonly MeteredService[];
  /** The one that only people's questions are measured with. */
  readonly meter: Meter;
  /** By the wall clock. */
  readonly nowMs: number;
}

/** In the order of the reports. */
export async function readStats({ reports, running, meter, nowMs }: StatsSources): Promise<ServiceStats[]> {
  const usages = await meter.sample(running);
  const byName = new Map(running.map(({ service }, index) => [service.name, usages[index]]));
  return reports.map((report) => ({
    name: report.name,
    state: report.state,
    restarts: report.restarts,
    health: report.health,
    ...report.startedMs !== undefined && { uptimeMs: Math.max(nowMs - report.startedMs, 0) },
    ...usageStats(byName.get(report.name)),
  }));
}

function usageStats(usage: ServiceUsage | undefined): Partial<ServiceStats> {
  if (!usage) return {};
  const { memoryBytes, openFiles, processes, connections, inBitsPerS, outBitsPerS } = usage;
  return {
    cpuPercent: usage.cpuPercent ?? usage.cpuPercentSinceStart,
    memoryBytes,
    openFiles,
    processes,
    ...connections !== undefined && { connections },
    ...inBitsPerS !== undefined && { inBitsPerS },
    ...outBitsPerS !== undefined && { outBitsPerS },
  };
}
