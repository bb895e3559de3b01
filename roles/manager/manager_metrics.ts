/** What `/metrics` of the manager says of its services: which are up and which should be, and how often they had to be started again. */

import type { Metrics } from "../../protocol/metrics.ts";
import type { Supervisor, SupervisorEvent } from "./supervisor.ts";

/** To be called at every change of a service. */
export function serviceMetrics(metrics: Metrics): (supervisor: Supervisor, event: SupervisorEvent) => void {
  const up = metrics.gauge("manager_service_up", "Whether the service runs and works.", ["service"]);
  const wanted = metrics.gauge(
    "manager_service_wanted",
    "Whether the service is to run; 0 once it was stopped on purpose.",
    ["service"],
  );
  const restarts = metrics.gauge("manager_service_restarts", "Restarts since the manager started.", ["service"]);
  const gaveUp = metrics.gauge("manager_service_gave_up", "Whether the manager starts it no more.", ["service"]);
  return (supervisor, { name, isForgotten }) => {
    const labels = { service: name };
    if (isForgotten) return [up, wanted, restarts, gaveUp].forEach((gauge) => gauge.remove(labels));
    const service = supervisor.report([name]).services[0]!;
    up.set(service.state === "running" && service.health !== "unhealthy" ? 1 : 0, labels);
    wanted.set(supervisor.isWanted(name) ? 1 : 0, labels);
    restarts.set(service.restarts, labels);
    gaveUp.set(service.gaveUp ? 1 : 0, labels);
  };
}
