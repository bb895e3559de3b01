/**
 * `up`: makes the interface a configuration file describes, and takes everything away when told to stop.
 *
 *   file ─▶ rights ─▶ what a killed run left ─▶ PreUp ─▶ names, MTU ─▶ device ─▶ addresses, DNS, routes ─▶ PostUp ─▶ ready
 *   stop ─▶ PreDown ─▶ SaveConfig ─▶ everything back, last to first ─▶ PostDown
 *
 * Nothing is changed before it is known that all rights are there. A failure on the way up takes back what was done.
 */

import { openLibc } from "../../native/libc.ts";
import { RtNetlink } from "../../native/rtnetlink.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { RoleContext } from "../role.ts";
import { type ConfFile, readConfFile } from "./conf_file.ts";
import { type Backend, chooseBackend, type ChosenBackend, type DeviceMaker } from "./devices.ts";
import type { Lookup } from "./endpoints.ts";
import { Hooks } from "./hooks.ts";
import { holderOf, Journal, journalPathOf } from "./journal.ts";
import { ownRights, requireRights, requireTun } from "./privileges.ts";
import { planRoutes } from "./routing.ts";
import { Tunnel } from "./tunnel.ts";
import { undoAll } from "./undo.ts";

export interface UpSettings {
  /** A file or an interface's name. */
  readonly conf: string;
  readonly backend: Backend;
  readonly allowHooks: boolean | undefined;
}

export interface UpTools {
  readonly devices: DeviceMaker;
  readonly lookup: Lookup;
}

/** Brings a tunnel up and keeps it until the context's signal. */
export async function up(settings: UpSettings, context: RoleContext, tools: UpTools): Promise<void> {
  const { log } = context;
  const file = await readConfFile(settings.conf, log);
  const { interfaceName, config } = file;
  const hooks = new Hooks(config, { interfaceName, allowed: settings.allowHooks, log });
  const backend = await chooseWithRights(file, settings.backend, context, tools.devices);
  using libc = openLibc();
  using network = new RtNetlink(libc);
  using journal = await takeJournal(interfaceName);
  if (journal.undos.length > 0) {
    log.warn("Taking away what a run that was killed has left", { interface: interfaceName });
    await undoAll(journal, network, log);
  }
  if (network.link(interfaceName)) {
    await journal.finish();
    throw new CulvertError(
      "exists",
      `Cannot bring up ${interfaceName}: an interface of that name must not exist yet, and it was not made by culvert`,
    );
  }
  const tunnel = new Tunnel({ file, hooks, backend, network, journal, context, ...tools });
  await tunnel.run();
}

/** The backend, once it is certain that this process may do all that it takes. */
async function chooseWithRights(
  { interfaceName, config }: ConfFile,
  wanted: Backend,
  { log }: RoleContext,
  devices: DeviceMaker,
): Promise<ChosenBackend> {
  const rights = await ownRights();
  requireRights(rights, {
    action: `bring up ${interfaceName}`,
    uses: [
      "create the network interface",
      "give it its addresses and routes",
      ...planRoutes(config).defaults.length > 0 ? ["add the routing rules of a default route"] : [],
    ],
  });
  const backend = chooseBackend(wanted, devices, log);
  requireTun(rights, backend, interfaceName);
  return backend;
}

async function takeJournal(interfaceName: string): Promise<Journal> {
  const path = await journalPathOf(interfaceName);
  const journal = await Journal.take(path);
  if (journal) return journal;
  const holder = await holderOf(path);
  throw new CulvertError(
    "exists",
    `Cannot bring up ${interfaceName}: it is up already${holder === undefined ? "" : `, by process ${holder}`}; ` +
      `\`culvert wireguard down ${interfaceName}\` ends it`,
  );
}
