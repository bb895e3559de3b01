/**
 * What `systemctl show` tells of units: blocks of `Key=Value` lines, one for each unit, an empty line between them.
 *
 *   Id=culvert-kcp.service⏎ActiveState=active⏎MainPID=812⏎ … ⏎⏎Id=…
 */

import type { Service } from "./service.ts";

/** What is asked for. */
export const UNIT_PROPERTIES = [
  "Id",
  "LoadState",
  "ActiveState",
  "MainPID",
  "ExecMainPID",
  "ExecMainCode",
  "ExecMainStatus",
  "ExecMainStartTimestampMonotonic",
  "StatusText",
  "InvocationID",
  "ControlGroup",
  "DropInPaths",
  "NeedDaemonReload",
  "Result",
  "Job",
] as const;

export interface UnitState {
  readonly name: string;
  /** `loaded`, `not-found`, `bad-setting`, … */
  readonly loaded: string;
  /** `active`, `inactive`, `failed`, `activating`, `deactivating`, … */
  readonly active: string;
  /** Of the process that runs; 0 when there is none. */
  readonly mainPid: number;
  /** The last that ran, or runs. */
  readonly last: UnitProcess;
  /** In its own words (STATUS= of sd_notify). */
  readonly statusText: string;
  /** Another at each start; empty when systemd has forgotten the last. */
  readonly invocation: string;
  /** Below the mount point of cgroups; empty when there is none. */
  readonly controlGroup: string;
  /** Files that change what the unit says (`systemctl edit`). */
  readonly dropIns: readonly string[];
  /** Its file is another by now than the one that systemd has read. */
  readonly needsReload: boolean;
  /** `success`, `exit-code`, `watchdog`, `resources`, … */
  readonly result: string;
  /** Something that was asked for waits or is under way. */
  readonly hasJob: boolean;
}

export interface UnitProcess {
  /** 0 when none has ever run, or it ended well and systemd has forgotten it. */
  readonly pid: number;
  /** Since the machine's start, without the time that it was suspended. */
  readonly startedUs: number;
  /** Undefined while it runs, and where nobody can tell. */
  readonly code?: number;
  readonly signal?: string;
}

/** Nothing of it runs, and nothing is about to. */
export function hasEnded({ active, hasJob }: UnitState): boolean {
  return !hasJob && (active === "inactive" || active === "failed");
}

export function parseUnitStates(text: string): UnitState[] {
  return text.split("\n\n").filter((block) => block.trim() !== "").map(parseUnitState);
}

function parseUnitState(block: string): UnitState {
  const values = new Map(
    block.split("\n").map((line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)] as const;
    }),
  );
  const text = (key: typeof UNIT_PROPERTIES[number]) => values.get(key) ?? "";
  const number = (key: typeof UNIT_PROPERTIES[number]) => Number(text(key)) || 0;
  return {
    name: text("Id"),
    loaded: text("LoadState"),
    active: text("ActiveState"),
    mainPid: number("MainPID"),
    last: {
      pid: number("ExecMainPID"),
      startedUs: number("ExecMainStartTimestampMonotonic"),
      ...ended(number("ExecMainCode"), number("ExecMainStatus")),
    },
    statusText: text("StatusText"),
    invocation: text("InvocationID"),
    controlGroup: text("ControlGroup"),
    dropIns: text("DropInPaths").split(" ").filter((path) => path !== ""),
    needsReload: text("NeedDaemonReload") === "yes",
    result: text("Result"),
    hasJob: number("Job") > 0,
  };
}

/** siginfo's codes: it ended by itself, by a signal, or by one that leaves a core file. */
const CLD_EXITED = 1;
const CLD_KILLED = 2;
const CLD_DUMPED = 3;

function ended(how: number, status: number): Pick<UnitProcess, "code" | "signal"> {
  if (how === CLD_EXITED) return { code: status };
  if (how === CLD_KILLED || how === CLD_DUMPED) return { signal: signalNames.get(status) ?? `signal ${status}` };
  return {};
}

/** Those that end a process, the same on x86-64 and arm64. */
const signalNames: ReadonlyMap<number, string> = new Map([
  [1, "SIGHUP"],
  [2, "SIGINT"],
  [3, "SIGQUIT"],
  [4, "SIGILL"],
  [5, "SIGTRAP"],
  [6, "SIGABRT"],
  [7, "SIGBUS"],
  [8, "SIGFPE"],
  [9, "SIGKILL"],
  [10, "SIGUSR1"],
  [11, "SIGSEGV"],
  [12, "SIGUSR2"],
  [13, "SIGPIPE"],
  [14, "SIGALRM"],
  [15, "SIGTERM"],
  [24, "SIGXCPU"],
  [25, "SIGXFSZ"],
  [31, "SIGSYS"],
]);

/** Why systemd could not start a program, by the code with which it then ends (systemd.exec(5), "Process Exit Codes"). */
const setupFailures: ReadonlyMap<number, (service: Service) => string> = new Map([
  [200, ({ directory }: Service) => `its directory must be there and its user's to enter, got ${directory}`],
  [203, ({ command }: Service) => `its program must be there and its user's to run, got ${command[0]}`],
  [216, ({ user }: Service) => `its user's group must exist, got ${user}`],
  [217, ({ user }: Service) => `its user must exist, got ${user}`],
  [218, () => "its capabilities must be ones that systemd itself has"],
  [226, () => "the paths that it writes to must be possible"],
  [228, () => "the kernel must be able to filter system calls"],
  [238, () => "its state directory must be possible"],
]);

/** What must be so that it can be started; undefined where it was started, and has ended by itself. */
export function setupFailure(service: Service, { code }: UnitProcess): string | undefined {
  return code === undefined ? undefined : setupFailures.get(code)?.(service);
}
