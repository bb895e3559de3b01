/**
 * All processes of the machine at one moment, and which of them are a service's: those of its cgroup where systemd has given
 * it one, otherwise those of the session that its main process began. What has left its session by `setsid` is not counted.
 */

import type { ProcStat } from "../../protocol/manager/proc_text.ts";
import { allPids, readProcFile, readProcStat } from "../../native/proc_files.ts";
import { cgroupPids } from "./cgroup.ts";
import type { MeteredService } from "./limits.ts";

/** Who is in a process's cgroup, if that is the unit's; undefined if it is another's. */
export type UnitPids = (unit: string, pid: number) => readonly number[] | undefined;

export class ServiceProcesses {
  readonly #byPid = new Map<number, ProcStat>();
  readonly #bySession = new Map<number, ProcStat[]>();
  readonly #pidsOfUnit: UnitPids;

  constructor(processes: Iterable<ProcStat>, pidsOfUnit: UnitPids = () => undefined) {
    this.#pidsOfUnit = pidsOfUnit;
    for (const stat of processes) {
      this.#byPid.set(stat.pid, stat);
      const session = this.#bySession.get(stat.sessionId);
      if (session) session.push(stat);
      else this.#bySession.set(stat.sessionId, [stat]);
    }
  }

  /** All of the service's, the main one among them; undefined once that has gone. */
  of({ service, process }: MeteredService): readonly ProcStat[] | undefined {
    const main = this.#byPid.get(process.pid);
    if (main?.startTicks !== process.startTicks) return undefined;
    const inUnit = this.#pidsOfUnit(`culvert-${service.name}.service`, process.pid);
    if (inUnit) return inUnit.map((pid) => this.#byPid.get(pid)).filter((stat) => stat !== undefined);
    return main.sessionId === main.pid ? this.#bySession.get(main.pid)! : [main];
  }
}

export function readServiceProcesses(): ServiceProcesses {
  return new ServiceProcesses(allPids().map(readProcStat).filter((stat) => stat !== undefined), unitPids);
}

/** By the one hierarchy of today, or by the old one that systemd has for itself. */
function unitPids(unit: string, pid: number): readonly number[] | undefined {
  for (const [, path] of (readProcFile(pid, "cgroup") ?? "").matchAll(/^\d+:(?:name=systemd)?:(\/.*)$/gm)) {
    if (path!.endsWith(`/${unit}`)) return cgroupPids(path!);
  }
  return undefined;
}
