/**
 * What a service may use, and whether it uses more: memory, open files, processor time. One that is above a limit for as
 * long as its file allows is restarted before it harms others.
 *
 *   meter ─▶ sample ─▶ above a limit? ── for overMs ──▶ "It has used 812 MiB of memory, above 512 MiB, for 30 s"
 *
 * How it is measured is `meter.ts`'s. What follows is the service machine's.
 */

import type { Service, ServiceLimits } from "../../protocol/manager/service.ts";
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

interface Measure {
  readonly used: number | undefined;
  readonly limit: number | undefined;
  /** "412 MiB of memory". */
  words(amount: number): string;
}

/** Of one service's process. */
export class LimitWatch {
  /** Since when each is above its limit, in the order of `measuresOf`. */
  #overSinceMs: (number | undefined)[] = [];

  /** Another process: what the last one used is forgotten. */
  reset(): void {
    this.#overSinceMs = [];
  }

  /** Why it should be restarted, as a sentence; undefined for as long as it need not be. */
  look(limits: ServiceLimits, sample: ServiceSample, nowMs: number): string | undefined {
    let reason: string | undefined;
    this.#overSinceMs = measuresOf(limits, sample).map(({ used, limit, words }, at) => {
      if (used === undefined || limit === undefined || used <= limit) return undefined;
      const sinceMs = this.#overSinceMs[at] ?? nowMs;
      const overMs = nowMs - sinceMs;
      if (overMs >= limits.overMs) {
        reason ??= `It uses ${words(used)}, above ${words(limit)}, for ${Math.round(overMs / 1000)} s`;
      }
      return sinceMs;
    });
    return reason;
  }
}

function measuresOf(limits: ServiceLimits, sample: ServiceSample): Measure[] {
  return [
    { used: sample.memoryBytes, limit: limits.memoryBytes, words: (bytes) => `${toMib(bytes)} MiB of memory` },
    { used: sample.openFiles, limit: limits.openFiles, words: (count) => `${count} open files` },
    { used: sample.cpuPercent, limit: limits.cpuPercent, words: (share) => `${Math.round(share)} % of a core` },
  ];
}

function toMib(bytes: number): number {
  return Math.round(bytes / 2 ** 20 * 10) / 10;
}

/** Whether there is anything to measure it for. */
export function hasLimits({ memoryBytes, openFiles, cpuPercent }: ServiceLimits): boolean {
  return memoryBytes !== undefined || openFiles !== undefined || cpuPercent !== undefined;
}
