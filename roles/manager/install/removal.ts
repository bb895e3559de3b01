/**
 * What uninstalling a service comes to: by its record what was made for it and what somebody has changed since.
 *
 *   as it was written ─▶ removed        edited by hand ─▶ kept and told, unless purged
 *   state, logs, user ─▶ kept, and the record with them, so that they can be purged later
 */

import { join } from "@std/path";
import { removeIfThere } from "../../../native/remove_if_there.ts";
import { CulvertError } from "../../../protocol/errors.ts";
import { SERVICE_NAME } from "../../../protocol/manager/service.ts";
import { didYouMean } from "../../config/names.ts";
import type { Places } from "../places.ts";
import { UnitFiles } from "../unit_files.ts";
import { type InstallRecord, type InstallRecords, textHash } from "./record.ts";
import { findUser, removeUser } from "./users.ts";

export interface Removal {
  readonly name: string;
  readonly record?: InstallRecord;
  /** Files and folders that go. */
  readonly removed: readonly string[];
  /** Moved aside: a service file that is not ours to throw away must not be found any more. */
  readonly moved?: { readonly from: string; readonly to: string };
  readonly kept: readonly string[];
  /** A user that goes. */
  readonly user?: string;
  readonly purges: boolean;
}

export interface RemovalOptions {
  readonly places: Places;
  readonly records: InstallRecords;
  readonly purges: boolean;
}

/** Throws `unknown_service`. */
export async function planRemoval(name: string, { places, records, purges }: RemovalOptions): Promise<Removal> {
  const servicePath = join(places.services, `${name}.toml`);
  const record = SERVICE_NAME.test(name) ? await records.read(name) : undefined;
  const hasFile = SERVICE_NAME.test(name) && await isThere(servicePath);
  if (!hasFile && !record) throw await unknownService(name, places);
  const files = [...new Set([...record?.files.map(({ path }) => path) ?? [], servicePath])];
  const removed: string[] = [], kept: string[] = [];
  let moved: Removal["moved"];
  for (const path of files) {
    if (!await isThere(path)) continue;
    if (purges || await isAsWritten(path, record)) removed.push(path);
    else if (path === servicePath) moved = { from: path, to: await freePath(`${path}.kept`) };
    else kept.push(`${path}, which was edited by hand`);
  }
  const unit = await unitOf(name, places);
  if (unit.isOurs || unit.isThere && purges) removed.push(unit.path);
  else if (unit.isThere) kept.push(`${unit.path}, which was edited by hand`);
  // Made by the manager, which may not be there to take it away.
  const environment = join(places.run, `${name}.env`);
  if (await isThere(environment)) removed.push(environment);
  if (record && !purges && await isEmptyFolder(record.stateDir)) removed.push(record.stateDir);
  const data = (await dataOf(name, places, record)).filter((path) => !removed.includes(path));
  if (purges) removed.push(...data);
  else kept.push(...data);
  const user = record?.user !== undefined && await findUser(record.user) ? record.user : undefined;
  if (user !== undefined && !purges) kept.push(`the user ${user}`);
  return {
    name,
    ...record && { record },
    removed,
    kept,
    purges,
    ...moved && { moved },
    ...user !== undefined && purges && { user },
  };
}

/** Takes it all away; what is gone already is no failure. */
export async function applyRemoval(removal: Removal, records: InstallRecords): Promise<void> {
  const { name, record, removed, moved, user, kept } = removal;
  if (moved) await Deno.rename(moved.from, moved.to);
  for (const path of removed) await removeAll(path);
  if (user !== undefined) await removeUser(user);
  if (kept.length === 0) await records.remove(name);
  else if (record) {
    await records.write({
      ...record,
      files: record.files.filter(({ path }) => !removed.includes(path)),
    });
  }
}

export function removalLines({ name, removed, moved, kept, user }: Removal): string[] {
  return [
    `To uninstall ${name}:`,
    "  Stop it, if it runs",
    ...moved ? [`  Move ${moved.from}, which is not as it was installed, to ${moved.to}`] : [],
    ...removed.map((path) => `  Remove ${path}`),
    ...user === undefined ? [] : [`  Remove the user ${user}`],
    ...kept.map((what) => `  Keep ${what}`),
  ];
}

/** What no service is left to use, and what was kept of those there were: of all that the paths that are there. */
export async function leftBehind({ services, watchdogFiles }: Places, modulesDir: string): Promise<string[]> {
  const paths = [...watchdogFiles, services, modulesDir];
  const there = await Promise.all(paths.map(isThere));
  return paths.filter((_, at) => there[at]);
}

async function unknownService(name: string, { services }: Places): Promise<CulvertError> {
  const entries = await Array.fromAsync(Deno.readDir(services)).catch(() => []);
  const known = entries.filter((entry) => entry.name.endsWith(".toml")).map((entry) => entry.name.slice(0, -5));
  return new CulvertError(
    "unknown_service",
    `Cannot uninstall ${name}: there is no such service${didYouMean(name, known)}`,
  );
}

async function isAsWritten(path: string, record: InstallRecord | undefined): Promise<boolean> {
  const hash = record?.files.find((file) => file.path === path)?.sha256;
  return hash !== undefined && hash === textHash(await Deno.readTextFile(path));
}

async function unitOf(name: string, { backend, run }: Places) {
  if (backend !== "systemd") return { path: "", isOurs: false, isThere: false };
  const files = new UnitFiles({ run });
  const origin = await files.originOf(name);
  return { path: files.pathOf(name), isOurs: origin === "ours", isThere: origin !== "absent" };
}

/** What it has written itself. */
async function dataOf(name: string, { logs }: Places, record: InstallRecord | undefined): Promise<string[]> {
  const log = join(logs, `${name}.log`);
  const places = [...record ? [record.stateDir] : [], log, `${log}.1`];
  const there = await Promise.all(places.map(isThere));
  return places.filter((_, at) => there[at]);
}

/** What was kept the last time stays as well. */
async function freePath(path: string): Promise<string> {
  for (let at = 0;; at++) {
    const free = at === 0 ? path : `${path}.${at}`;
    if (!await isThere(free)) return free;
  }
}

async function isEmptyFolder(path: string): Promise<boolean> {
  const entries = await Array.fromAsync(Deno.readDir(path)).catch(() => undefined);
  return entries?.length === 0;
}

async function removeAll(path: string): Promise<void> {
  const info = await Deno.lstat(path).catch(() => undefined);
  if (info?.isDirectory) await Deno.remove(path, { recursive: true });
  else await removeIfThere(path);
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}
