/**
 * What a service may use, and whether it uses more: memory, open files, processor time. One that is above a limit for as
 * long as its file allows is restarted before it harms others.
 *
 *   meter ─▶ sample ─▶ above a limit? ── for overMs ──▶ "It has used 812 MiB of memory, above 512 MiB, for 30 s"
 *
 * How it is measured is `meter.ts`'s. What follows is the service machine's.
 */

import type { Service } from "../../protocol/manager/service.ts";
import type { RunningProcess } from "./runner.ts";

/** What is measured: all processes of the service, known by its main one. */
export interface MeteredService {
  readonly service: Service;
  readonly process: RunningProcess;
}

/** A meter may give more than limits need. */
export interface ServiceSample {
  readonly memoryBytes: number;
  readonly openFiles: number;
  /** Of one core, since this meter has sampled it before; undefined the first time. */
  readonly cpuPercent?: number;
}

/**
 * Processor time is measured from one sample to the next, so whoever samples has a meter of its own. All services that are
 * due are asked for together.
 */
export interface ServiceMeter {
  /** In the order of the services; undefined for one that has gone meanwhile. Does not reject for one of many. */
  sample(services: readonly MeteredService[]): Promise<readonly (ServiceSample | undefined)[]>;
}
