/** Answers what the manager's commands ask over its socket: `words.ts`. */

import type { Clock } from "../../protocol/clock.ts";
import type { Meter } from "./meter.ts";
import { readStats } from "./stats.ts";
import type { Supervisor } from "./supervisor.ts";
import type { ManagerAnswer, ManagerRequest } from "./words.ts";

export interface AnswerSources {
  readonly supervisor: Supervisor;
  /** The one that only people's questions are measured with. */
  readonly meter: Meter;
  readonly clock: Clock;
}

export function managerAnswers(
  { supervisor, meter, clock }: AnswerSources,
): (request: ManagerRequest) => Promise<ManagerAnswer> {
  return async (request) => {
    switch (request.do) {
      case "report":
        return supervisor.report(request.names);
      case "stats": {
        const reports = supervisor.report(request.names).services;
        const nowMs = clock.wallNow();
        return { nowMs, stats: await readStats({ reports, running: supervisor.running(request.names), meter, nowMs }) };
      }
      case "reload":
        await supervisor.reload();
        return supervisor.report();
      default:
        // All are known before any is touched.
        supervisor.report(request.names);
        for (const name of request.names) supervisor[request.do](name);
        return supervisor.report(request.names);
    }
  };
}
