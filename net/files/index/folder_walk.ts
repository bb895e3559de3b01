/**
 * Which files there are at a path and under it, as `folder_reader.ts` counts them. Synchronous, one folder after the other:
 * it belongs into a Worker. What cannot be read is passed over.
 */

import { dirname, join } from "@std/path";
import { MAX_PATH_BYTES } from "../../../protocol/files/listing.ts";
import { isHidden } from "../../../protocol/files/safe_path.ts";
import type { FolderSettings, SeenFile } from "./folder_reader.ts";

/** Deeper than a path can be long. */
const MAX_DEPTH = MAX_PATH_BYTES / 2;

/** `folder` must be a real path, with no links in it. */
export function* walk(settings: FolderSettings, path: string): Generator<SeenFile> {
  if (!isReachable(settings, path)) return;
  const start = look(settings, path);
  if (start === "folder") yield* walkFolder(settings, path, 0);
  else if (start) yield start;
}

function* walkFolder(settings: FolderSettings, folder: string, depth: number): Generator<SeenFile> {
  if (depth > MAX_DEPTH) return;
  for (const name of namesIn(join(settings.folder, folder))) {
    if (isHidden(name, settings.hidden)) continue;
    const path = folder === "" ? name : `${folder}/${name}`;
    const found = look(settings, path);
    if (found === "folder") yield* walkFolder(settings, path, depth + 1);
    else if (found) yield found;
  }
}

/** In the order of paths, more or less, which spares whoever keeps them in order. */
function namesIn(folder: string): string[] {
  try {
    return Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();
  } catch {
    return [];
  }
}

/** What is at a path: a folder, a file, or nothing that counts. */
function look(settings: FolderSettings, path: string): SeenFile | "folder" | undefined {
  try {
    const at = join(settings.folder, path);
    const info = Deno.lstatSync(at);
    if (info.isDirectory) return "folder";
    const file = info.isSymlink ? targetOf(settings, at) : info;
    return file?.isFile ? seenFile(path, file) : undefined;
  } catch {
    return undefined;
  }
}

function seenFile(path: string, { size, mtime, ino }: Deno.FileInfo): SeenFile {
  return { path, size, modifiedMs: mtime?.getTime() ?? 0, inode: ino ?? 0 };
}

/** What a link leads to, if that is inside and not hidden. */
function targetOf(settings: FolderSettings, link: string): Deno.FileInfo | undefined {
  const target = Deno.realPathSync(link);
  const inside = `${settings.folder === "/" ? "" : settings.folder}/`;
  if (!target.startsWith(inside)) return undefined;
  if (isHidden(target.slice(inside.length), settings.hidden)) return undefined;
  return Deno.lstatSync(target);
}

/** Whether no part of the path is hidden, and no folder on its way is a link: watchers tell of those too. */
function isReachable({ folder, hidden }: FolderSettings, path: string): boolean {
  if (path === "") return true;
  if (isHidden(path, hidden)) return false;
  const parent = dirname(join(folder, path));
  try {
    return Deno.realPathSync(parent) === parent;
  } catch {
    return false;
  }
}
