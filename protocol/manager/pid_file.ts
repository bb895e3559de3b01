/**
 * The pid file of a service: which process it was when it was started, for a manager that comes later.
 *
 *   4711⏎                                                   the bare number, as other tools read it
 *   91234 b2f76aed-b2cf-4af6-b848-7cd847301bc6 5e884898…⏎   its start in ticks, the machine's boot, its command's hash
 *
 * Only both lines name a process: pids are given again. Files of other makers, with a number alone, and files that were
 * cut off are told apart here and judged by `roles/manager/pid_files.ts`; nothing here reads /proc.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import type { Service } from "./service.ts";

export interface PidFile {
  readonly pid: number;
  /** What names the process; undefined where the file has a number alone. */
  readonly identity?: PidIdentity;
}

export interface PidIdentity {
  readonly startTicks: number;
  /** /proc/sys/kernel/random/boot_id: ticks are counted anew at each boot. */
  readonly bootId: string;
  readonly commandHash: string;
}

/** Far above what we write; whatever is longer is none. */
export const MAX_PID_FILE_BYTES = 256;

/** Larger pids are not given by any kernel (PID_MAX_LIMIT). */
const MAX_PID = 4_194_304;

/** Undefined for what is empty, no number, or cut off in its second line. */
export function parsePidFile(text: string): PidFile | undefined {
  if (text.length > MAX_PID_FILE_BYTES) return undefined;
  const match = /^([1-9]\d{0,6})(?:\n(?:(\d{1,15}) ([0-9a-f-]{36}) ([0-9a-f]{16})\n)?)?$/.exec(text);
  if (!match) return undefined;
  const [, number, startTicks, bootId, commandHash] = match;
  const pid = Number(number);
  if (pid > MAX_PID) return undefined;
  if (startTicks === undefined || bootId === undefined || commandHash === undefined) return { pid };
  return { pid, identity: { startTicks: Number(startTicks), bootId, commandHash } };
}

export function formatPidFile(pid: number, { startTicks, bootId, commandHash }: PidIdentity): string {
  return `${pid}\n${startTicks} ${bootId} ${commandHash}\n`;
}

/** Of all that a process is started with: another hash means that its service's file says something else by now. */
export function commandHashOf(service: Service): string {
  const { command, user = null, directory = null, environment, limits } = service;
  const variables = Object.entries(environment).sort(([a], [b]) => a < b ? -1 : 1);
  const text = JSON.stringify([command, user, directory, variables, service.notifies, limits.openFiles ?? null]);
  return sha256(new TextEncoder().encode(text)).subarray(0, 8).toHex();
}
