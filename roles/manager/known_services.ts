/**
 * What can be told of services where no manager runs: those that the service files name, and which of them run all the
 * same by their pid files, as they do when a manager was killed.
 */

import type { RoleContext } from "../role.ts";
import { SERVICE_NAME } from "../../protocol/manager/service.ts";
import type { Places } from "./places.ts";

export interface KnownService {
  readonly name: string;
  /** Of the process that runs. */
  readonly pid?: number;
}

export async function knownWithoutManager({ services }: Pick<Places, "services" | "run">): Promise<KnownService[]> {
  const known: KnownService[] = [];
  try {
    for await (const { name } of Deno.readDir(services)) {
      const service = name.replace(/\.toml$/, "");
      if (service !== name && SERVICE_NAME.test(service)) known.push({ name: service });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied)) throw error;
  }
  return known.sort((a, b) => a.name < b.name ? -1 : 1);
}

export function showKnown(known: readonly KnownService[], { json, print }: Pick<RoleContext, "json" | "print">): void {
  if (json) return print(JSON.stringify({ manager: false, services: known }));
  const width = Math.max(0, ...known.map(({ name }) => name.length));
  for (const { name, pid } of known) {
    print(`${name.padEnd(width)}  ${pid === undefined ? "stopped" : `runs, pid ${pid}`}`);
  }
}
