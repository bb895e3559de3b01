/**
 * Whether a service has got to where it was told to go, from how it was before and how it is now.
 */

import type { ServiceReport } from "../../protocol/manager/report.ts";
import { spanText } from "../table.ts";
import type { Deed } from "./asking.ts";

/** A start that is due so soon is under way: something is cleared away before it. */
const SOON_MS = 1000;

export interface Outcome {
  readonly isGood: boolean;
  /** After its name: "runs, pid 123". */
  readonly text: string;
}

/**
 * Undefined while it is under way. `report` is of after the order, and the manager sees to an order before it answers: what is
 * stopped then has failed to start.
 */
export function judge(
  deed: Deed,
  before: ServiceReport,
  { report, nowMs }: { readonly report: ServiceReport; readonly nowMs: number },
): Outcome | undefined {
  const { state, nextStartMs } = report;
  if (deed === "stop") return judgeStop(before, report);
  if (state === "running") {
    if (deed === "start" && isRunning(before)) return { isGood: true, text: "runs already" };
    return deed === "restart" && isSameProcess(before, report)
      ? undefined
      : { isGood: true, text: runningText(report) };
  }
  if (state !== "stopped") return undefined;
  if (nextStartMs === undefined) return { isGood: false, text: `did not start: ${whyText(report)}` };
  if (nextStartMs - nowMs < SOON_MS) return undefined;
  const again = `it is tried again in ${spanText(nextStartMs - nowMs)}`;
  return { isGood: false, text: `did not start: ${whyText(report)}; ${again}` };
}

function judgeStop(before: ServiceReport, { state, nextStartMs, lastExit }: ServiceReport): Outcome | undefined {
  if (state !== "stopped" || nextStartMs !== undefined) return undefined;
  if (before.state === "stopped" && before.nextStartMs === undefined) {
    return { isGood: true, text: "was stopped already" };
  }
  return { isGood: true, text: `is stopped${before.state === "stopped" || !lastExit ? "" : `: ${lastExit}`}` };
}

/** One whose file is gone is known for as long as it runs. */
export function judgeForgotten(deed: Deed): Outcome {
  return deed === "stop"
    ? { isGood: true, text: "is stopped, and forgotten: its file is gone" }
    : { isGood: false, text: "is gone from the service files" };
}

function isRunning({ state }: ServiceReport): boolean {
  return state === "running";
}

function isSameProcess(before: ServiceReport, report: ServiceReport): boolean {
  return isRunning(before) && before.pid === report.pid && before.startedMs === report.startedMs;
}

function runningText({ pid }: ServiceReport): string {
  return pid === undefined ? "runs" : `runs, pid ${pid}`;
}

function whyText({ reason, lastExit }: ServiceReport): string {
  return reason ?? lastExit ?? "nobody says why";
}
