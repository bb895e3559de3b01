/**
 * Finds and ends what a service's main process has left behind: children, and those that have gone their own way by a second
 * fork or a session of their own.
 *
 *   /proc/PID/stat, environ ─▶ same session, or CULVERT_SERVICE=<run dir>:<name> ─▶ SIGTERM ─ 2 s ─▶ SIGKILL ─▶ look again
 *
 * What has left the session and thrown its environment away as well is not found; systemd's control groups would. Nor is what
 * left the session under another user where the manager may not read its environment (no CAP_SYS_PTRACE).
 */

import { isRunning, type ProcessExits, type ProcessId } from "../../native/process_exits.ts";
import { allPids, isGone, readProcFile, readProcStat } from "../../native/proc_files.ts";
import { type Clock, deadline } from "../../protocol/clock.ts";
import { environmentValue, isAlive } from "../../protocol/manager/proc_text.ts";
import { MAIN_PID, MARK } from "./own_process.ts";

export interface SeenProcess extends ProcessId {
  readonly groupId: number;
  readonly sessionId: number;
  /** What `MARK` says in the environment that it was started with. */
  readonly mark: string | undefined;
  /** Whether it is what the manager started, and no child of that. */
  readonly isMain: boolean;
}

/** From SIGTERM to SIGKILL for what has lost its service anyway. */
const GRACE_MS = 2_000;
/** SIGTERM first, SIGKILL after; what forks faster than it is found, or hangs in the kernel, is left after these. */
const MAX_ROUNDS = 5;

/** The kernel's own processes are children of this one. */
const KTHREADD_PID = 2;

/** Looks at all processes of the machine; those who ask in the same moment share a look. */
export class SeenProcesses {
  #look: Promise<readonly SeenProcess[]> | undefined;

  /** All that live, but for this one. */
  look(): Promise<readonly SeenProcess[]> {
    return this.#look ??= Promise.resolve().then(() => {
      this.#look = undefined;
      return lookAtAll();
    });
  }
}

function lookAtAll(): SeenProcess[] {
  return allPids().flatMap((pid) => {
    if (pid === Deno.pid) return [];
    const stat = readProcStat(pid);
    if (!isAlive(stat) || pid === KTHREADD_PID || stat.parentPid === KTHREADD_PID) return [];
    const environment = readProcFile(pid, "environ") ?? "";
    const { startTicks, groupId, sessionId } = stat;
    const isMain = environmentValue(environment, MAIN_PID) === String(pid);
    return [{ pid, startTicks, groupId, sessionId, mark: environmentValue(environment, MARK), isMain }];
  });
}

/** Sends a signal to this very process, or to all of its group; whether there was one. */
export function sendSignal(process: ProcessId, name: Deno.Signal, to: "process" | "group" = "process"): boolean {
  if (!isRunning(process)) return false;
  try {
    Deno.kill(to === "group" ? -process.pid : process.pid, name);
    return true;
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

/** A stopped process takes its SIGTERM only once it goes on; one that has ended by then has taken it. */
export function sendTerm(process: ProcessId, to: "process" | "group" = "process"): boolean {
  const isSent = sendSignal(process, "SIGTERM", to);
  if (isSent) sendSignal(process, "SIGCONT", to);
  return isSent;
}

export interface EndOptions {
  readonly exits: ProcessExits;
  readonly clock: Clock;
  readonly graceMs?: number;
}

export interface Ended {
  /** How many there were. */
  readonly count: number;
  /** Those that nothing ends. */
  readonly left: readonly ProcessId[];
}

/** Ends whatever `find` gives, looked for again after each round. */
export async function endStrays(
  find: () => Promise<readonly ProcessId[]>,
  { exits, clock, graceMs = GRACE_MS }: EndOptions,
): Promise<Ended> {
  const met = new Set<number>();
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const found = await find();
    if (found.length === 0) return { count: met.size, left: [] };
    for (const stray of found) {
      met.add(stray.pid);
      if (round === 0) sendTerm(stray);
      else sendSignal(stray, "SIGKILL");
    }
    await haveEnded(found, exits, { clock, withinMs: graceMs });
  }
  return { count: met.size, left: await find() };
}

/** Waits until all have ended, or the time is over. */
async function haveEnded(
  processes: readonly ProcessId[],
  exits: ProcessExits,
  { clock, withinMs }: { readonly clock: Clock; readonly withinMs: number },
): Promise<void> {
  using limit = deadline(clock, withinMs, "end a process");
  try {
    await Promise.all(processes.map((one) => exits.ended(one, limit.signal)));
  } catch (error) {
    if (!limit.signal.aborted) throw error;
  }
}
