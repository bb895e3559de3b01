/**
 * Whether a service has got to where it was told to go, from how it was before and how it is now.
 */

import type { ServiceReport } from "../../protocol/manager/report.ts";
import { spanText } from "../table.ts";
import type { Deed } from "./asking.ts";

/** What has been stopped for so long does not start by itself any more: a restart stops only for a moment. */
const SETTLED_MS = 2000;

export interface Outcome {
  readonly isGood: boolean;
  /** After its name: "runs, pid 123". */
  readonly text: string;
}

/** Undefined while it is under way. */
export function judge(
  deed: Deed,
  before: ServiceReport,
  { report, nowMs }: { readonly report: ServiceReport; readonly nowMs: number },
): Outcome | undefined {
  const { state, nextStartMs, gaveUp, sinceMs } = report;
  if (deed === "stop") return judgeStop(before, report);
  if (state === "running") {
    if (deed === "start" && isRunning(before)) return { isGood: true, text: "runs already" };
    return deed === "restart" && isSameProcess(before, report)
      ? undefined
      : { isGood: true, text: runningText(report) };
  }
  if (state !== "stopped" || !hasMoved(before, report)) return undefined;
  if (nextStartMs !== undefined) {
    const again = `it is tried again in ${spanText(Math.max(1000, nextStartMs - nowMs))}`;
    return { isGood: false, text: `did not start: ${whyText(report)}; ${again}` };
  }
  if (gaveUp || nowMs - sinceMs > SETTLED_MS) return { isGood: false, text: `did not start: ${whyText(report)}` };
  return undefined;
}

function judgeStop(before: ServiceReport, { state, nextStartMs, lastExit }: ServiceReport): Outcome | undefined {
  if (state !== "stopped" || nextStartMs !== undefined) return undefined;
  if (before.state === "stopped" && before.nextStartMs === undefined) {
    return { isGood: true, text: "was stopped already" };
  }
  return { isGood: true, text: `is stopped${before.state === "stopped" || !lastExit ? "" : `: ${lastExit}`}` };
}

function isRunning({ state }: ServiceReport): boolean {
  return state === "running";
}

function isSameProcess(before: ServiceReport, report: ServiceReport): boolean {
  return isRunning(before) && before.pid === report.pid && before.startedMs === report.startedMs;
}

/** Whether anything came of the order yet. */
function hasMoved(before: ServiceReport, report: ServiceReport): boolean {
  return before.state !== report.state || before.sinceMs !== report.sinceMs || before.restarts !== report.restarts;
}

function runningText({ pid }: ServiceReport): string {
  return pid === undefined ? "runs" : `runs, pid ${pid}`;
}

function whyText({ reason, lastExit }: ServiceReport): string {
  return reason ?? lastExit ?? "nobody says why";
}
