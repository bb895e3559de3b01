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
import { ownCommand } from "../own_command.ts";
import { placesOf, type PlacesSettings, thisPlacesHost } from "../places.ts";
import type { FindRoute } from "./kind.ts";
import type { InstallMachine } from "./plan.ts";
import { isThere } from "../doctor/this_machine.ts";
import { findUser } from "./users.ts";

const OTHERS_READ = 0o004;
const OTHERS_ENTER = 0o001;

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
    modulesDir: "/var/cache/culvert/deno",
    findRoute: findRoute(context),
    givesRights: places.backend === "systemd" || findProgram("setpriv") !== undefined,
    isThere,
    isOpenToAll,
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
export async function isOpenToAll(path: string): Promise<boolean> {
  try {
    const real = await Deno.realPath(path);
    if (((await Deno.stat(real)).mode ?? 0) & OTHERS_READ) return await isReachable(dirname(real));
    return false;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
}

async function isReachable(folder: string): Promise<boolean> {
  const { mode } = await Deno.stat(folder);
  if (!((mode ?? 0) & OTHERS_ENTER)) return false;
  return folder === "/" || await isReachable(dirname(folder));
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
