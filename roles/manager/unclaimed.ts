/**
 * What runs and belongs to no service that the manager knows: its file went, or became unusable, while there was no manager.
 * It is only told of: whoever has taken its file away may not know that it runs, and whoever has spoilt it wants it back.
 */

import { join } from "@std/path";
import { readBootId } from "../../native/proc_files.ts";
import { isRunning } from "../../native/process_exits.ts";
import { MAX_PID_FILE_BYTES, parsePidFile } from "../../protocol/manager/pid_file.ts";
import { SERVICE_NAME } from "../../protocol/manager/service.ts";

/** A sentence for each pid file of the run directory that names such a process. */
export function unclaimedProcesses(run: string, known: ReadonlySet<string>): string[] {
  const bootId = readBootId();
  return [...Deno.readDirSync(run)].map(({ name }) => name).sort().flatMap((file) => {
    const name = /^(.*)\.pid$/.exec(file)?.[1];
    if (name === undefined || !SERVICE_NAME.test(name) || known.has(name)) return [];
    const pid = pidIn(join(run, file), bootId);
    if (pid === undefined) return [];
    return `${name}: one runs, pid ${pid}, and has no service file that can be used: give it one and read the files ` +
      `again, or end it with kill -- -${pid}`;
  });
}

/** Undefined for anything but a process that still runs. */
function pidIn(path: string, bootId: string): number | undefined {
  try {
    if (Deno.statSync(path).size > MAX_PID_FILE_BYTES) return undefined;
    const file = parsePidFile(Deno.readTextFileSync(path));
    const { pid, identity } = file ?? {};
    if (pid === undefined || identity?.bootId !== bootId) return undefined;
    return isRunning({ pid, startTicks: identity.startTicks }) ? pid : undefined;
  } catch {
    return undefined; // it has just gone, or is not ours to read
  }
}
