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
import type { Log } from "../../protocol/log.ts";
import type { RoleContext } from "../role.ts";
import { type ConfFile, readConfFile } from "./conf_file.ts";
import { type Backend, chooseBackend, type ChosenBackend, type DeviceMaker } from "../machine/devices.ts";
import type { Lookup } from "./endpoints.ts";
import { Hooks } from "./hooks.ts";
import { holderOf, Journal, journalPathOf } from "../machine/journal.ts";
import { ownRights, requireRights, requireTun } from "../machine/privileges.ts";
import { planRoutes } from "./routing.ts";
import { Tunnel } from "./tunnel.ts";
import { undoAll } from "../machine/undo.ts";

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

/** What is certain before anything is changed. */
export interface Prepared {
  readonly file: ConfFile;
  readonly hooks: Hooks;
  readonly backend: ChosenBackend;
}

/** Reads the file and makes sure that this process may do what it says; changes nothing. */
export async function prepare(
  settings: UpSettings,
  { log }: Pick<RoleContext, "log">,
  devices: DeviceMaker,
): Promise<Prepared> {
  const file = await readConfFile(settings.conf, log);
  const { interfaceName, config } = file;
  const hooks = new Hooks(config, { interfaceName, allowed: settings.allowHooks, log });
  return { file, hooks, backend: await chooseWithRights(file, settings.backend, log, devices) };
}

/** Throws `exists` while a process holds the interface. */
export async function requireNotUp(interfaceName: string): Promise<void> {
  using journal = await takeJournal(interfaceName);
  if (!journal.wasLeft) await journal.finish();
}

/** Brings a tunnel up and keeps it until the context's signal. */
export async function up(settings: UpSettings, context: RoleContext, tools: UpTools): Promise<void> {
  const { log } = context;
  const prepared = await prepare(settings, context, tools.devices);
  const { interfaceName } = prepared.file;
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
  const tunnel = new Tunnel({ ...prepared, network, journal, context, ...tools });
  await tunnel.run();
}

/** The backend, once it is certain that this process may do all that it takes. */
async function chooseWithRights(
  { interfaceName, config }: ConfFile,
  wanted: Backend,
  log: Log,
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
