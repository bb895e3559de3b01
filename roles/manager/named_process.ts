/**
 * What a pid file says and whether it is so, for those that only look: the process is known by its start time and the
 * machine's boot, for a pid alone may be anybody's. The manager itself reads them by `pid_files.ts`, which clears away.
 */

import { isRunning } from "../../native/process_exits.ts";
import { readBootId } from "../../native/proc_files.ts";
import { MAX_PID_FILE_BYTES, parsePidFile } from "../../protocol/manager/pid_file.ts";

/** `runs`: the process that it names. `gone`: it names one that has ended. `unreadable`: it names none beyond doubt. */
export type PidFileVerdict =
  | { readonly state: "runs"; readonly pid: number }
  | { readonly state: "gone" | "unreadable" };

function judgePidFile(text: string, bootId: string): PidFileVerdict {
  const { pid, identity } = parsePidFile(text) ?? {};
  if (pid === undefined || !identity) return { state: "unreadable" };
  const isIt = identity.bootId === bootId && isRunning({ pid, startTicks: identity.startTicks });
  return isIt ? { state: "runs", pid } : { state: "gone" };
}

/** One that is not there, or not for us to read, is `unreadable`. */
export async function namedProcess(path: string, bootId: string = readBootId()): Promise<PidFileVerdict> {
  return judgePidFile(await readPidFile(path), bootId);
}

/** Of the process that the file names, if it runs. */
export async function runningPid(path: string): Promise<number | undefined> {
  const named = await namedProcess(path);
  return named.state === "runs" ? named.pid : undefined;
}

async function readPidFile(path: string): Promise<string> {
  try {
    const { isFile, size } = await Deno.stat(path);
    return isFile && size <= MAX_PID_FILE_BYTES ? await Deno.readTextFile(path) : "";
  } catch {
    return "";
  }
}
