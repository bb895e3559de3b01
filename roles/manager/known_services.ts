/**
 * What can be told of services where no manager runs: those that the service files name, and which of them run all the
 * same, as they do when the manager was stopped or killed: by their pid files, or by what systemd says of their units.
 */

import { join } from "@std/path";
import { messageOf } from "../../protocol/errors.ts";
import { SERVICE_NAME } from "../../protocol/manager/service.ts";
import { unitNameOf } from "../../protocol/manager/unit_text.ts";
import type { RoleContext } from "../role.ts";
import { runningPid } from "./named_process.ts";
import type { Places } from "./places.ts";
import type { Systemctl } from "./systemctl.ts";

export interface KnownService {
  readonly name: string;
  /** Of the process that runs. */
  readonly pid?: number;
  /** Why nobody can tell whether it runs. */
  readonly problem?: string;
}

/** In the order of their names. */
export async function knownNames({ services }: Pick<Places, "services">): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name: file } of Deno.readDir(services)) {
      const name = file.replace(/\.toml$/, "");
      if (name !== file && SERVICE_NAME.test(name)) names.push(name);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names.sort();
}

/** `systemctl` is asked where systemd runs the processes. */
export async function knownWithoutManager(
  places: Pick<Places, "services" | "run" | "backend">,
  systemctl: Pick<Systemctl, "show">,
): Promise<KnownService[]> {
  const names = await knownNames(places);
  if (places.backend === "systemd") return await knownToSystemd(names, systemctl);
  return await Promise.all(names.map(async (name) => known(name, await runningPid(join(places.run, `${name}.pid`)))));
}

async function knownToSystemd(names: readonly string[], systemctl: Pick<Systemctl, "show">): Promise<KnownService[]> {
  try {
    const states = await systemctl.show(names.map(unitNameOf));
    return names.map((name) => known(name, states.get(unitNameOf(name))?.mainPid || undefined));
  } catch (error) {
    const problem = messageOf(error);
    return names.map((name) => ({ name, problem }));
  }
}

function known(name: string, pid: number | undefined): KnownService {
  return { name, ...pid !== undefined && { pid } };
}

export function showKnown(known: readonly KnownService[], { json, print }: Pick<RoleContext, "json" | "print">): void {
  if (json) return print(JSON.stringify({ manager: false, services: known }));
  const width = Math.max(0, ...known.map(({ name }) => name.length));
  for (const service of known) print(`${service.name.padEnd(width)}  ${stateText(service)}`);
}

function stateText({ pid, problem }: KnownService): string {
  if (problem !== undefined) return `may run or not: ${problem}`;
  return pid === undefined ? "does not run" : `runs, pid ${pid}, watched by nobody`;
}
