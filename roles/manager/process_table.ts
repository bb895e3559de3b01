/**
 * All processes of the machine at one moment, and which of them are a service's: those of its cgroup where systemd has given
 * it one, otherwise those of the session that its main process began. What has left its session by `setsid` is not counted.
 */

import type { ProcStat } from "../../protocol/manager/proc_text.ts";
import { allPids, readProcFile, readProcStat } from "../../native/proc_files.ts";
import type { MeteredService } from "./limits.ts";

/** Where systemd mounts the one hierarchy of cgroups of today. */
const CGROUPS = "/sys/fs/cgroup";

/** Who is in a process's cgroup, if that is the unit's; undefined if it is another's. */
export type CgroupPids = (unit: string, pid: number) => readonly number[] | undefined;

export class ProcessTable {
  readonly #byPid = new Map<number, ProcStat>();
  readonly #bySession = new Map<number, ProcStat[]>();
  readonly #cgroupPids: CgroupPids;

  constructor(processes: Iterable<ProcStat>, cgroupPids: CgroupPids = () => undefined) {
    this.#cgroupPids = cgroupPids;
    for (const stat of processes) {
      this.#byPid.set(stat.pid, stat);
      const session = this.#bySession.get(stat.sessionId);
      if (session) session.push(stat);
      else this.#bySession.set(stat.sessionId, [stat]);
    }
  }

  /** All of the service's, the main one among them; undefined once that has gone. */
  membersOf({ service, process }: MeteredService): readonly ProcStat[] | undefined {
    const main = this.#byPid.get(process.pid);
    if (main?.startTicks !== process.startTicks) return undefined;
    const inCgroup = this.#cgroupPids(`culvert-${service.name}.service`, process.pid);
    if (inCgroup) return inCgroup.map((pid) => this.#byPid.get(pid)).filter((stat) => stat !== undefined);
    return main.sessionId === main.pid ? this.#bySession.get(main.pid)! : [main];
  }
}

export function readProcessTable(): ProcessTable {
  return new ProcessTable(allPids().map(readProcStat).filter((stat) => stat !== undefined), readCgroupPids);
}

function readCgroupPids(unit: string, pid: number): number[] | undefined {
  const path = /^0::(\/.*)$/m.exec(readProcFile(pid, "cgroup") ?? "")?.[1];
  if (!path?.endsWith(`/${unit}`)) return undefined;
  try {
    return Deno.readTextFileSync(`${CGROUPS}${path}/cgroup.procs`).split("\n").filter(Boolean).map(Number);
  } catch {
    // An older machine has its cgroups elsewhere; the session is nearly the same.
    return undefined;
  }
}
