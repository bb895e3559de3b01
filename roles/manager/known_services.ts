/**
 * What can be told of services where no manager runs: those that the service files name, and which of them run all the
 * same by their pid files, as they do when the manager was stopped or killed.
 */

import { join } from "@std/path";
import { readBootId, readProcStat } from "../../native/proc_files.ts";
import { MAX_PID_FILE_BYTES, parsePidFile } from "../../protocol/manager/pid_file.ts";
import { isAlive } from "../../protocol/manager/proc_text.ts";
import { SERVICE_NAME } from "../../protocol/manager/service.ts";
import type { RoleContext } from "../role.ts";
import type { Places } from "./places.ts";

export interface KnownService {
  readonly name: string;
  /** Of the process that runs. */
  readonly pid?: number;
}

export async function knownWithoutManager(
  { services, run }: Pick<Places, "services" | "run">,
): Promise<KnownService[]> {
  const known: KnownService[] = [];
  try {
    for await (const { name: file } of Deno.readDir(services)) {
      const name = file.replace(/\.toml$/, "");
      if (name === file || !SERVICE_NAME.test(name)) continue;
      const pid = await runningPid(join(run, `${name}.pid`));
      known.push({ name, ...pid !== undefined && { pid } });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return known.sort((a, b) => a.name < b.name ? -1 : 1);
}

/** Undefined unless the process that the file names, and no other of that pid, runs. */
async function runningPid(path: string): Promise<number | undefined> {
  const text = await readPidFile(path);
  const file = text === undefined ? undefined : parsePidFile(text);
  if (!file?.identity || file.identity.bootId !== readBootId()) return undefined;
  const stat = readProcStat(file.pid);
  return isAlive(stat) && stat.startTicks === file.identity.startTicks ? file.pid : undefined;
}

async function readPidFile(path: string): Promise<string | undefined> {
  try {
    return (await Deno.stat(path)).size > MAX_PID_FILE_BYTES ? undefined : await Deno.readTextFile(path);
  } catch {
    return undefined; // there is none, or it is not for us to read
  }
}

export function showKnown(known: readonly KnownService[], { json, print }: Pick<RoleContext, "json" | "print">): void {
  if (json) return print(JSON.stringify({ manager: false, services: known }));
  const width = Math.max(0, ...known.map(({ name }) => name.length));
  for (const { name, pid } of known) {
    print(`${name.padEnd(width)}  ${pid === undefined ? "does not run" : `runs, pid ${pid}, watched by nobody`}`);
  }
}
