/**
 * What the kernel tells of processes in /proc, as text: pure parsers. The files are read by `native/proc_files.ts`.
 *
 *   /proc/PID/stat     pid (name) state parent group session … times … start …     proc_pid_stat(5)
 *   /proc/PID/status   Name:⇥value⏎ …                                              proc_pid_status(5)
 *   /proc/PID/environ, cmdline    word NUL word NUL …
 *
 * A process chooses its own name and may put anything into it, `) R 1` and line ends too; the last `)` of the file is the
 * kernel's. What is no such text gives undefined.
 */

/** USER_HZ: the ticks in which /proc counts are a hundredth of a second on every machine that Linux runs on. */
export const TICK_MS = 10;

export interface ProcStat {
  readonly pid: number;
  /** At most 15 bytes, as the process likes it. */
  readonly name: string;
  /** One letter: R running, S sleeping, D waiting for a disk, T stopped, Z ended and not yet collected. */
  readonly state: string;
  readonly parentPid: number;
  readonly groupId: number;
  readonly sessionId: number;
  readonly userTicks: number;
  readonly systemTicks: number;
  /** Of its children that have ended and were collected, both kinds. */
  readonly childTicks: number;
  readonly threads: number;
  /** Since the machine's start. With the pid it names a process; the pid alone does not. */
  readonly startTicks: number;
  /** Resident memory, in pages. */
  readonly residentPages: number;
}

/** Fields behind the name, counted from the state, which is proc_pid_stat(5)'s third. */
const FIELD = {
  parentPid: 1,
  groupId: 2,
  sessionId: 3,
  userTicks: 11,
  systemTicks: 12,
  childUserTicks: 13,
  childSystemTicks: 14,
  threads: 17,
  startTicks: 19,
  residentPages: 21,
} as const;

export function parseProcStat(text: string): ProcStat | undefined {
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  if (open < 1 || close < open) return undefined;
  const fields = text.slice(close + 1).trim().split(" ");
  const number = (at: number) => Number(fields[at] || NaN);
  const stat: ProcStat = {
    pid: Number(text.slice(0, open).trim() || NaN),
    name: text.slice(open + 1, close),
    state: fields[0] ?? "",
    parentPid: number(FIELD.parentPid),
    groupId: number(FIELD.groupId),
    sessionId: number(FIELD.sessionId),
    userTicks: number(FIELD.userTicks),
    systemTicks: number(FIELD.systemTicks),
    childTicks: number(FIELD.childUserTicks) + number(FIELD.childSystemTicks),
    threads: number(FIELD.threads),
    startTicks: number(FIELD.startTicks),
    residentPages: number(FIELD.residentPages),
  };
  const isWhole = Object.values(stat).every((value) => typeof value === "string" || Number.isSafeInteger(value));
  return isWhole && stat.pid > 0 && /^[A-Za-z]$/.test(stat.state) ? stat : undefined;
}

/** Whether it still runs: one that has ended stays in /proc until its parent asks how. */
export function isAlive(stat: ProcStat | undefined): stat is ProcStat {
  return stat !== undefined && stat.state !== "Z" && stat.state !== "X";
}

export interface ProcStatus {
  /** Whose rights it has. */
  readonly uid: number;
  /** Undefined for one that has ended, and for the kernel's own. */
  readonly residentBytes?: number;
  readonly threads: number;
}

export function parseProcStatus(text: string): ProcStatus | undefined {
  // Real, effective, saved and file system's.
  const uid = /^Uid:\t\d+\t(\d+)\t/m.exec(text)?.[1];
  const threads = /^Threads:\t(\d+)$/m.exec(text)?.[1];
  const residentKib = /^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1];
  if (uid === undefined || threads === undefined) return undefined;
  return {
    uid: Number(uid),
    threads: Number(threads),
    ...residentKib !== undefined && { residentBytes: Number(residentKib) * 1024 },
  };
}

/** A variable of /proc/PID/environ: what the process was started with, whatever it has changed since. */
export function environmentValue(text: string, name: string): string | undefined {
  const start = `${name}=`;
  return text.split("\0").find((variable) => variable.startsWith(start))?.slice(start.length);
}

/** The words of /proc/PID/cmdline; none for the kernel's own. */
export function parseCommandLine(text: string): string[] {
  return text === "" ? [] : text.replace(/\0$/, "").split("\0");
}

/** Since the machine's start, by the same clock as `startTicks`: the first number of /proc/uptime, in seconds. */
export function parseUptimeMs(text: string): number | undefined {
  const seconds = /^(\d+\.\d+) /.exec(text)?.[1];
  return seconds === undefined ? undefined : Math.round(Number(seconds) * 1000);
}
