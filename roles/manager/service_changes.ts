/**
 * Whether a service's file has changed in what is settled when its process is started, so that only a restart applies it.
 */

import type { Service } from "../../protocol/manager/service.ts";
import type { ServiceRunner } from "./runner.ts";

/** `started`: as its file said when its process was started. */
export function isRunOtherwise(started: Service, service: Service, backend: ServiceRunner["backend"]): boolean {
  return JSON.stringify(runAs(started, backend)) !== JSON.stringify(runAs(service, backend));
}

function runAs(service: Service, backend: ServiceRunner["backend"]): unknown {
  const { description: _1, enabled: _2, limits, log, watchdog, ...how } = service;
  const { openFiles, memoryBytes } = limits;
  // Our own children are held to other limits, and are stopped, by the manager itself; units by what was written into them.
  const settled = backend === "own"
    ? { openFiles, logBytes: log.maxBytes }
    : { openFiles, memoryBytes, stopTimeoutMs: watchdog.stopTimeoutMs };
  return { ...how, ...settled };
}
