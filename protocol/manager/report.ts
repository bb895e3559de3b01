/**
 * What the manager tells of its services: it crosses its socket, and is what `--json` prints.
 */

import { z } from "zod";
import { countSchema } from "../fields.ts";

export const serviceStates = ["stopped", "starting", "running", "stopping"] as const;
export type ServiceState = typeof serviceStates[number];

export const serviceReportSchema = z.object({
  name: z.string(),
  description: z.string(),
  state: z.enum(serviceStates),
  /** Since when, by the wall clock. */
  sinceMs: z.number(),
  enabled: z.boolean(),
  pid: z.int().optional(),
  /** When the process was started, which is longer ago than the manager's own start for one that it adopted. */
  startedMs: z.number().optional(),
  health: z.enum(["unknown", "healthy", "unhealthy"]),
  /** What it says of itself, by sd_notify. */
  says: z.string().optional(),
  /** Why it is stopped, unhealthy, or being restarted. */
  reason: z.string().optional(),
  /** It crashed too often: nothing but `start` starts it again. */
  gaveUp: z.boolean(),
  /** When it will be started again, while a wait lasts. */
  nextStartMs: z.number().optional(),
  /** Within the window, and since the manager started. */
  recentRestarts: countSchema,
  restarts: countSchema,
  /** How its last process ended. */
  lastExit: z.string().optional(),
  listen: z.array(z.string()),
  /** What its owner should know: a unit edited by hand, a file that changed since the start. */
  notes: z.array(z.string()),
});
export type ServiceReport = z.infer<typeof serviceReportSchema>;

export const serviceStatsSchema = z.object({
  name: z.string(),
  state: z.enum(serviceStates),
  uptimeMs: z.number().optional(),
  /** Of one core, since it was last looked at, or since its start. */
  cpuPercent: z.number().optional(),
  memoryBytes: countSchema.optional(),
  processes: countSchema.optional(),
  openFiles: countSchema.optional(),
  /** At the ports it listens on. */
  connections: countSchema.optional(),
  /** Bits per second into and out of those connections, since they were last looked at. */
  inBitsPerS: z.number().optional(),
  outBitsPerS: z.number().optional(),
  restarts: countSchema,
  health: z.enum(["unknown", "healthy", "unhealthy"]),
});
export type ServiceStats = z.infer<typeof serviceStatsSchema>;

export const managerReportSchema = z.object({
  pid: z.int(),
  backend: z.enum(["own", "systemd"]),
  startedMs: z.number(),
  nowMs: z.number(),
  /** Service files that cannot be used, each with what is wrong. */
  problems: z.array(z.string()),
  services: z.array(serviceReportSchema),
});
export type ManagerReport = z.infer<typeof managerReportSchema>;
