/**
 * What is made of the manager itself and of what it tells.
 */

import type { ManagerReport, ServiceReport } from "../../../protocol/manager/report.ts";
import { noManagerText } from "../asking.ts";
import type { Places } from "../places.ts";
import { fail, type Finding, ok, warn } from "./finding.ts";

/** `problem`: why it could not be asked, where that is not because there is none. */
export function managerFindings(
  report: ManagerReport | undefined,
  places: Places,
  problem?: string,
): Finding[] {
  if (problem !== undefined) return [fail("manager", problem, "Ask as the user that runs it")];
  if (!report) {
    return [warn("manager", noManagerText(places), "Without it nothing is started again")];
  }
  const { pid, backend, services } = report;
  const findings = [
    ok(
      "manager",
      `process ${pid} looks after ${services.length} ${services.length === 1 ? "service" : "services"}, by ${
        wordsOf(backend)
      }`,
    ),
  ];
  if (backend !== places.backend) {
    const says = `it runs services by ${wordsOf(backend)}, and here ${wordsOf(places.backend)} is meant`;
    findings.push(warn("manager", says, `Give --backend ${backend}, or start it anew`));
  }
  return [...findings, ...services.flatMap(stateFindings)];
}

function wordsOf(backend: Places["backend"]): string {
  return backend === "systemd" ? "systemd" : "itself";
}

function stateFindings({ name, gaveUp, health, reason, notes, recentRestarts }: ServiceReport): Finding[] {
  const why = reason === undefined ? "" : `: ${reason}`;
  const advice = `See why: culvert manager logs ${name}`;
  return [
    ...gaveUp ? [fail(name, `it was given up${why}`, `${advice}; then culvert manager start ${name}`)] : [],
    ...!gaveUp && health === "unhealthy" ? [fail(name, `it is not well${why}`, advice)] : [],
    ...!gaveUp && recentRestarts > 0
      ? [warn(name, `it was restarted ${recentRestarts} times lately${why}`, advice)]
      : [],
    ...notes.map((note) => warn(name, note, "If that is meant, let it be")),
  ];
}
