/**
 * `culvert manager doctor`: what is wrong here, and what to do about it, for services that do not run as they should.
 *
 *   machine: kernel, time, limits, disks ─▶ manager ─▶ service files ─▶ each service ─▶ units, pid files ─▶ exit 1 on a fail
 */

import { z } from "zod";
import { openTcpTable } from "../../native/tcp_table.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { needsOf } from "../../protocol/manager/program_needs.ts";
import type { ManagerReport } from "../../protocol/manager/report.ts";
import type { Service } from "../../protocol/manager/service.ts";
import { ConfigError } from "../config.ts";
import { findProgram } from "../machine/programs.ts";
import { TUN_DEVICE } from "../machine/privileges.ts";
import { defineRole, type Role, type RoleContext } from "../role.ts";
import { Asking } from "./asking.ts";
import { fail, type Finding, findingLines, ok, warn } from "./doctor/finding.ts";
import * as machine from "./doctor/machine_findings.ts";
import { managerFindings } from "./doctor/manager_findings.ts";
import {
  pidFileFindings,
  serviceFindings,
  type ServiceMachine,
  sharedPortFindings,
} from "./doctor/service_findings.ts";
import * as here from "./doctor/this_machine.ts";
import { isOpenToAll } from "./install/this_machine.ts";
import { findUser } from "./install/users.ts";
import { knownWithoutManager } from "./known_services.ts";
import { type Places, placesConfig } from "./places.ts";
import { managerFiles } from "./manager_files.ts";
import { findPortOwner } from "./port_owner.ts";
import type { LoadedServices } from "./service_files.ts";
import { outputPaint } from "./styles.ts";
import { Systemctl } from "./systemctl.ts";
import { UnitFiles } from "./unit_files.ts";

const config = z.object({ ...placesConfig });
export type DoctorSettings = z.output<typeof config>;

export const doctorRole: Role<typeof config> = defineRole({
  name: "manager-doctor",
  summary: "Says what is wrong with services and this machine, and what to do about it.",
  config,
  examples: ["sudo culvert manager doctor", "culvert manager doctor --json"],
  longRunning: false,
  run: (settings, context) => runDoctor(settings, context),
});

/** Rejects with `problems_found` after all has been told. */
export async function runDoctor(settings: DoctorSettings, context: RoleContext): Promise<void> {
  const asking = new Asking(settings, context);
  const findings: Finding[] = [];
  const paint = outputPaint();
  for await (const finding of examine(asking, context)) {
    findings.push(finding);
    if (!context.json) { for (const line of findingLines(finding, paint)) context.print(line); }
  }
  if (context.json) context.print(JSON.stringify({ findings }));
  const failed = findings.filter(({ verdict }) => verdict === "fail");
  if (failed.length === 0) return;
  const checks = [...new Set(failed.map(({ check }) => check))];
  throw new CulvertError("problems_found", `Found what is wrong: ${checks.join(", ")}`);
}

async function* examine(asking: Asking, context: RoleContext): AsyncGenerator<Finding> {
  const { places } = asking;
  const { services, problems } = await load(places);
  const report = await ask(asking);
  yield* machineFindings(services, places, context.stateDir);
  yield* managerFindings(report.report, places, report.problem);
  if (problems.length === 0) yield ok("service files", `${services.length} in ${places.services}, each of use`);
  for (const problem of problems) yield fail("service files", problem, "Correct it; the others are used all the same");
  yield* sharedPortFindings(services);
  yield* eachService(services, { places, context, report: report.report });
  yield* await unitFindings(services, places);
  yield* pidFileFindings(places.backend === "own" ? await here.pidFileStates(places.run) : [], services);
}

/** As the manager reads them; with the usual settings where those of the watchdog cannot be used. */
async function load(places: Places): Promise<Pick<LoadedServices, "services" | "problems">> {
  try {
    return await managerFiles({ places }).load();
  } catch (error) {
    if (!(error instanceof ConfigError)) return { services: [], problems: [messageOf(error)] };
    const { services, problems } = await managerFiles({ places: { ...places, watchdogFiles: [] } }).load();
    return { services, problems: [...error.problems, ...problems] };
  }
}

async function ask(asking: Asking): Promise<{ readonly report?: ManagerReport; readonly problem?: string }> {
  try {
    const report = await asking.tryReport();
    return report ? { report } : {};
  } catch (error) {
    return { problem: messageOf(error) };
  }
}

async function* machineFindings(
  services: readonly Service[],
  places: Places,
  stateDir: string,
): AsyncGenerator<Finding> {
  const needing = (has: (needs: ReturnType<typeof needsOf>) => boolean) =>
    services.filter((service) => has(needsOf(service))).map(({ name }) => name);
  yield machine.kernelFinding(Deno.build.os, Deno.osRelease());
  yield machine.rightsFinding(Deno.uid() === 0, needing(({ capabilities }) => capabilities.length > 0));
  yield machine.tunFinding(
    await here.isThere(TUN_DEVICE),
    needing(({ devices }) => devices.includes(TUN_DEVICE)),
  );
  yield machine.firewallFinding(
    here.firewallProblem(),
    needing(({ capabilities }) => capabilities.includes("CAP_NET_ADMIN")),
  );
  yield machine.timeFinding(here.timeIsKept());
  yield machine.openFilesFinding(await Deno.readTextFile("/proc/self/limits"));
  yield machine.diskFinding(here.diskSpace("pid files", places.run));
  yield machine.diskFinding(here.diskSpace("logs", places.logs));
  yield machine.diskFinding(here.diskSpace("state", stateDir));
}

interface Running {
  readonly places: Places;
  readonly context: RoleContext;
  readonly report: ManagerReport | undefined;
}

async function* eachService(
  services: readonly Service[],
  { places, context, report }: Running,
): AsyncGenerator<Finding> {
  using sockets = openTcpTable();
  const known = report?.services ?? await knownWithoutManager(places, new Systemctl(context));
  const running = known.filter(({ pid }) => pid !== undefined).map(({ name }) => name);
  const looks: ServiceMachine = {
    isRoot: Deno.uid() === 0,
    running: new Set(running),
    givesRights: (report?.backend ?? places.backend) === "systemd" || findProgram("setpriv") !== undefined,
    hasUser: async (name) => await findUser(name) !== undefined,
    isProgram: here.isProgram,
    isThere: here.isThere,
    isOpenToAll,
    portOwner: (port) => findPortOwner(sockets, port),
  };
  for (const service of services) yield* await serviceFindings(service, looks);
}

async function unitFindings(services: readonly Service[], { backend, run }: Places): Promise<Finding[]> {
  if (backend !== "systemd") return [];
  const files = new UnitFiles({ run });
  const findings: Finding[] = [];
  for (const { name } of services) {
    if (await files.originOf(name) !== "edited") continue;
    const path = files.pathOf(name);
    findings.push(
      warn("units", `${path} was edited by hand, and is kept as it is`, `To have it made anew: rm ${path}`),
    );
  }
  return findings;
}
