/**
 * This machine, as the doctor looks at it. Nothing is changed, and no process is signalled.
 */

import { statfsSync } from "node:fs";
import { dirname } from "@std/path";
import { openLibc } from "../../../native/libc.ts";
import { Nft } from "../../../native/nft.ts";
import { readBootId } from "../../../native/proc_files.ts";
import { isTimeKept } from "../../../native/time_state.ts";
import { messageOf } from "../../../protocol/errors.ts";
import { namedProcess } from "../named_process.ts";
import type { DiskSpace } from "./machine_findings.ts";
import type { PidFileState } from "./service_findings.ts";

export function timeIsKept(): boolean | undefined {
  using libc = openLibc();
  return isTimeKept(libc);
}

/** Why rules cannot be set; undefined where they can. */
export function firewallProblem(): string | undefined {
  try {
    using libc = openLibc();
    using nft = new Nft(libc);
    nft.tables();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** Of the disk that a folder lies on, or will. */
export function diskSpace(what: string, path: string): DiskSpace {
  const { bavail, bsize, ffree, files } = statfsSync(existing(path));
  // Some file systems do not count files.
  return { what, path, freeBytes: bavail * bsize, freeFiles: files === 0 ? Infinity : ffree };
}

function existing(path: string): string {
  try {
    Deno.statSync(path);
    return path;
  } catch {
    return dirname(path) === path ? path : existing(dirname(path));
  }
}

export async function pidFileStates(directory: string): Promise<PidFileState[]> {
  const bootId = readBootId();
  const states: PidFileState[] = [];
  const entries = await Array.fromAsync(Deno.readDir(directory)).catch(() => []);
  for (const entry of entries) {
    if (!entry.isFile || !entry.name.endsWith(".pid")) continue;
    const { state } = await namedProcess(`${directory}/${entry.name}`, bootId);
    states.push({ name: entry.name.slice(0, -".pid".length), directory, state });
  }
  return states.sort((a, b) => a.name < b.name ? -1 : 1);
}

export async function isProgram(path: string): Promise<boolean> {
  try {
    const { isFile, mode } = await Deno.stat(path);
    return isFile && (mode === null || (mode & 0o111) !== 0);
  } catch {
    return false;
  }
}

export async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
