/**
 * This machine, as a plan of installing something asks about it.
 */

import { dirname } from "@std/path";
import { openLibc } from "../../../native/libc.ts";
import { routeTo } from "../../../native/route_to.ts";
import type { Clock } from "../../../protocol/clock.ts";
import { CulvertError } from "../../../protocol/errors.ts";
import { formatIp, parseIp } from "../../../protocol/ip.ts";
import { defaultStateDirectory } from "../../state_location.ts";
import { findProgram } from "../../machine/programs.ts";
import type { Account } from "../accounts.ts";
import { ownCommand } from "../own_command.ts";
import { placesOf, type PlacesSettings, thisPlacesHost } from "../places.ts";
import type { FindRoute } from "./kind.ts";
import type { InstallMachine } from "./plan.ts";
import { isThere } from "../doctor/this_machine.ts";
import { findUser } from "./users.ts";

/** Of three bits of a mode. */
const READ = 0o4;
const RUN = 0o1;
const ENTER = 0o1;

/** Of all services here. */
export const MODULES_DIR = "/var/cache/culvert/deno";

export interface MachineContext {
  readonly stateDir: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export function thisInstallMachine(settings: PlacesSettings, context: MachineContext): InstallMachine {
  const env = (name: string) => Deno.env.get(name);
  const host = thisPlacesHost(env);
  const places = placesOf(settings, context.stateDir, host);
  return {
    places,
    isRoot: host.isRoot,
    hasSystemd: host.hasSystemd,
    stateDir: context.stateDir,
    ownCommand: ownCommand(),
    managerFlags: managerFlags(settings, context.stateDir, defaultStateDirectory({ env, isRoot: host.isRoot })),
    modulesDir: MODULES_DIR,
    findRoute: findRoute(context),
    givesRights: places.backend === "systemd" || findProgram("setpriv") !== undefined,
    isThere,
    isOpenToAll,
    mayRead,
    hasUser: async (name) => await findUser(name) !== undefined,
    readText,
  };
}

/** Whoever moves a place moves it for the manager as well. */
function managerFlags(settings: PlacesSettings, stateDir: string, usualStateDir: string): string[] {
  const { services, runDir, logDir, backend } = settings;
  return [
    ...services === undefined ? [] : ["--services", services],
    ...runDir === undefined ? [] : ["--run-dir", runDir],
    ...logDir === undefined ? [] : ["--log-dir", logDir],
    ...backend === "auto" ? [] : ["--backend", backend],
    ...stateDir === usualStateDir ? [] : ["--state-dir", stateDir],
  ];
}

function findRoute({ clock, signal }: MachineContext): FindRoute {
  return async (host) => {
    const address = parseIp(host) ? host : (await Deno.resolveDns(host, "A", { signal }))[0];
    if (address === undefined) {
      throw new CulvertError("no_address", `Cannot find the way to ${host}: it must have an IPv4 address`);
    }
    using libc = openLibc();
    const { interfaceName, source, mac, hardware } = await routeTo(libc, address, { clock, signal }).catch((error) => {
      if (!(error instanceof CulvertError) || error.code !== "no_neighbour") throw error;
      return routeTo(libc, address, { clock, signal, needsMac: false });
    });
    const gatewayMac = hardware === "ethernet" ? mac?.toHex().replaceAll(/..(?!$)/g, "$&:") : undefined;
    return { interfaceName, source: formatIp(source), ...gatewayMac !== undefined && { gatewayMac } };
  };
}

/** As far as the mode of the file and of every folder above it says. */
export function isOpenToAll(path: string, how: "read" | "run" = "read"): Promise<boolean> {
  return isOpenTo(undefined, path, how === "run" ? RUN : READ);
}

/** A user that is not there yet is one like all others. Groups beside the user's own are not looked at. */
export async function mayRead(path: string, user: string): Promise<boolean> {
  return await isOpenTo(await findUser(user), path, READ);
}

type Ids = Pick<Account, "uid" | "gid">;

async function isOpenTo(ids: Ids | undefined, path: string, right: number): Promise<boolean> {
  if (ids?.uid === 0) return true;
  try {
    const real = await Deno.realPath(path);
    return has(right, await Deno.stat(real), ids) && await isReachable(dirname(real), ids);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
}

async function isReachable(folder: string, ids: Ids | undefined): Promise<boolean> {
  if (!has(ENTER, await Deno.stat(folder), ids)) return false;
  return folder === "/" || await isReachable(dirname(folder), ids);
}

/** The owner's rights hold for the owner, the group's for the group, the others' for neither (path_resolution(7)). */
function has(right: number, { mode, uid, gid }: Deno.FileInfo, ids: Ids | undefined): boolean {
  const shift = ids === undefined ? 0 : ids.uid === uid ? 6 : ids.gid === gid ? 3 : 0;
  return (((mode ?? 0) >> shift) & right) !== 0;
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
