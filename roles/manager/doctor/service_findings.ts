/**
 * What is made of each service: whether its program, its user and its ports are as its file says.
 */

import { basename, join } from "@std/path";
import type { Service } from "../../../protocol/manager/service.ts";
import type { PortOwner } from "../checks.ts";
import { needsOf } from "../../../protocol/manager/program_needs.ts";
import type { PidFileVerdict } from "../named_process.ts";
import { formatServicePort } from "../service_schema.ts";
import { fail, type Finding, ok, warn } from "./finding.ts";

/** What has to be known of this machine. */
export interface ServiceMachine {
  readonly isRoot: boolean;
  /** Of the services that run, by name. */
  readonly running: ReadonlySet<string>;
  readonly givesRights: boolean;
  hasUser(name: string): Promise<boolean>;
  isProgram(path: string): Promise<boolean>;
  isThere(path: string): Promise<boolean>;
  isOpenToAll(path: string): Promise<boolean>;
  portOwner(port: Service["listen"][number]): Promise<PortOwner | undefined>;
}

/** What is wrong with it, each thing once; one good word where nothing is. */
export async function serviceFindings(service: Service, machine: ServiceMachine): Promise<Finding[]> {
  const found = (await Promise.all([
    programFindings(service, machine),
    userFindings(service, machine),
    portFindings(service, machine),
  ])).flat();
  return found.length > 0 ? found : [ok(service.name, "its program, user and ports are as they should be")];
}

async function programFindings(service: Service, machine: ServiceMachine): Promise<Finding[]> {
  const { name, command, directory } = service;
  const findings: Finding[] = [];
  const [program] = command;
  if (!await machine.isProgram(program)) {
    findings.push(fail(name, `${program} is no program`, "Install it, or correct command in the service file"));
  }
  const config = configOf(service);
  if (config?.startsWith("/") && !await machine.isThere(config)) {
    findings.push(fail(name, `its configuration ${config} is not there`, "Write it, or correct the service file"));
  }
  if (directory !== undefined && !await machine.isThere(directory)) {
    findings.push(fail(name, `its folder ${directory} is not there`, `Make it: mkdir -p ${directory}`));
  }
  return findings;
}

async function userFindings(service: Service, machine: ServiceMachine): Promise<Finding[]> {
  const { name, user, command, environment, role } = service;
  if (user === undefined || user === "root") return [];
  if (!machine.isRoot) {
    return [fail(name, `only root can run it as ${user}`, "Run the manager as root, or leave out user")];
  }
  if (!await machine.hasUser(user)) {
    return [fail(name, `there is no user ${user}`, `Make it: useradd --system --user-group --no-create-home ${user}`)];
  }
  const findings: Finding[] = [];
  const { capabilities } = needsOf(service);
  if (capabilities.length > 0 && !machine.givesRights) {
    findings.push(fail(name, `${user} cannot be given ${capabilities.join(", ")}`, "Install setpriv (util-linux)"));
  }
  const read = role === undefined ? command.slice(0, 1) : command.slice(0, command.indexOf(role));
  for (const path of [...read, ...environment.DENO_DIR === undefined ? [] : [environment.DENO_DIR]]) {
    if (!path.startsWith("/") || !await machine.isThere(path) || await machine.isOpenToAll(path)) continue;
    findings.push(fail(name, `${user} cannot read ${path}`, "Put it where everybody may read it, below /opt say"));
  }
  return findings;
}

async function portFindings({ name, listen }: Service, machine: ServiceMachine): Promise<Finding[]> {
  if (machine.running.has(name)) return [];
  const findings: Finding[] = [];
  for (const port of listen) {
    const owner = await machine.portOwner(port);
    if (!owner) continue;
    const says = `it does not run, and ${formatServicePort(port)} is taken by ${owner.program}, process ${owner.pid}`;
    findings.push(fail(name, says, "End that, or give one of them another port"));
  }
  return findings;
}

/** Two that want the same port cannot both have it. */
export function sharedPortFindings(services: readonly Service[]): Finding[] {
  const wanting = Map.groupBy(
    services.filter(({ enabled }) => enabled).flatMap(({ name, listen }) =>
      listen.map((port) => ({ name, place: formatServicePort(port) }))
    ),
    ({ place }) => place,
  );
  return [...wanting].filter(([, all]) => new Set(all.map(({ name }) => name)).size > 1).map(([place, all]) =>
    fail(
      "ports",
      `${all.map(({ name }) => name).join(" and ")} both listen at ${place}`,
      "Give one of them another port",
    )
  );
}

export interface PidFileState {
  readonly name: string;
  readonly directory: string;
  readonly state: PidFileVerdict["state"];
}

export function pidFileFindings(files: readonly PidFileState[], services: readonly Service[]): Finding[] {
  return files.flatMap(({ name, directory, state }) => {
    const path = join(directory, `${name}.pid`);
    if (!services.some((service) => service.name === name)) {
      const says = state === "runs" ? "names a process of a service that there is no file of" : "is of no service";
      return [warn("pid files", `${path} ${says}`, state === "runs" ? "End that process" : `Remove it: rm ${path}`)];
    }
    if (state === "runs") return [];
    const says = state === "gone" ? "names a process that is gone" : "names no process of ours";
    return [warn("pid files", `${path} ${says}`, "The manager takes it away when it starts")];
  });
}

/** Where its command names one: `-c` is another thing to other programs, to a shell above all. */
function configOf({ role, command }: Service): string | undefined {
  if (role !== undefined) return argumentOf(command, ["--config"]);
  return PROGRAMS_WITH_CONFIG.has(basename(command[0])) ? argumentOf(command, ["-c", "-config"]) : undefined;
}

const PROGRAMS_WITH_CONFIG: ReadonlySet<string> = new Set(["paqet", "gfk", "xray"]);

function argumentOf(command: readonly string[], flags: readonly string[]): string | undefined {
  const at = command.findIndex((word) => flags.includes(word));
  return at < 0 ? undefined : command[at + 1];
}
