/**
 * Reads what `protocol/manager/proc_text.ts` parses. At once, not later: a file of /proc is made as it is read, which takes
 * microseconds, and what is known of a process is soon old.
 *
 * Undefined means that there is no such process, or that its environment is not for us to see; all else that fails, too many
 * open files above all, throws: it must not look like the end of a process.
 */

import { parseCommandLine, parseProcStat, parseUptimeMs, type ProcStat } from "../protocol/manager/proc_text.ts";

export function readProcStat(pid: number): ProcStat | undefined {
  const text = readProcFile(pid, "stat");
  return text === undefined ? undefined : parseProcStat(text);
}

export function readCommandLine(pid: number): string[] | undefined {
  const text = readProcFile(pid, "cmdline");
  return text === undefined ? undefined : parseCommandLine(text);
}

/** `name`: `status`, `limits`, …; undefined where the process is gone, or others may not read it. */
export function readProcFile(pid: number, name: string): string | undefined {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/${name}`);
  } catch (error) {
    if (isGone(error) || error instanceof Deno.errors.PermissionDenied) return undefined;
    throw error;
  }
}

/** Every process that we may know of, those that are threads of others left out. */
export function allPids(): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((pid) => pid > 0);
}

/** Names the machine's run since its last start. */
export function readBootId(): string {
  return Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim();
}

/** Since the machine's start, by the clock of `ProcStat.startTicks`. */
export function readUptimeMs(): number | undefined {
  return parseUptimeMs(Deno.readTextFileSync("/proc/uptime"));
}

/** Whether an error says that there is no such process: it was gone before, or went while it was read. */
export function isGone(error: unknown): boolean {
  // ESRCH from a read has no class and no code in Deno 2.9, only its number.
  return error instanceof Deno.errors.NotFound || error instanceof Error && error.message.includes("(os error 3)");
}
