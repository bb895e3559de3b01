/**
 * From what a URL says to a path in the shared folder, and back. Decoded once; whatever could mean something else to a file
 * system, another program or another platform is refused rather than repaired.
 *
 *   /content/a%20b/c.txt ─▶ "a b/c.txt"     ..  .  //  \  NUL  %2f  C:  overlong or broken UTF-8, names too long ─▶ undefined
 *
 * This is the first of two walls, and looks at words alone. Where a path leads once links are followed is known only when it is
 * opened (`net/files/shared_root.ts`).
 */

import { MAX_NAME_BYTES, MAX_PATH_BYTES } from "./listing.ts";

/** Files of ours that lie in the shared folder for a while; nobody is shown them. */
export const PRIVATE_PREFIX = ".culvert-";

export interface AskedPath {
  /** "" is the shared folder itself. */
  readonly path: string;
  /** It ended in a slash: only a folder will do. */
  readonly isFolder: boolean;
}

/** Of the part of a URL's path that comes after the route, still encoded; with or without a slash before it. */
export function parseUrlPath(encoded: string): AskedPath | undefined {
  const text = encoded.startsWith("/") ? encoded.slice(1) : encoded;
  const isFolder = text === "" || text.endsWith("/");
  // An encoded slash is no separator, and no name has one.
  if (/%2f/i.test(text)) return undefined;
  const decoded = decode(isFolder ? text.slice(0, -1) : text);
  if (decoded === undefined || !isPath(decoded)) return undefined;
  return { path: decoded, isFolder };
}

/** Whether it is a path as `listing.ts` has them. */
export function isPath(path: string): boolean {
  if (path === "") return true;
  if (path.length > MAX_PATH_BYTES || utf8Length(path) > MAX_PATH_BYTES || /^[A-Za-z]:/.test(path)) return false;
  return path.split("/").every(isName);
}

/** Whether something of that name can be asked for. What cannot is not listed either. */
export function isName(name: string): boolean {
  if (name === "" || name === "." || name === ".." || name.length > MAX_NAME_BYTES) return false;
  // U+FFFD stands where a name is not UTF-8, so that nothing of this name is there.
  return !/[\0\\/\ufffd]/.test(name) && name.isWellFormed() && utf8Length(name) <= MAX_NAME_BYTES;
}

/** Names that begin with a dot are hidden unless asked for; our own always are. */
export function isHidden(path: string, showsHidden: boolean): boolean {
  if (!path.includes(".")) return false;
  return path.split("/").some((name) => name.startsWith(showsHidden ? PRIVATE_PREFIX : "."));
}

/** Whether a path is that folder or file, or in it. */
export function isWithin(scope: string, path: string): boolean {
  return scope === "" || path === scope || path.startsWith(`${scope}/`);
}

/** Whether a folder is on the way to what may be seen, and no part of it. */
export function leadsTo(scope: string, folder: string): boolean {
  return folder !== scope && isWithin(folder, scope);
}

export function joinPath(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`;
}

/** "" for what lies in the shared folder itself. */
export function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** As it stands in a URL. */
export function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

/** `decodeURIComponent` refuses what is no UTF-8, overlong forms and halves of surrogates among it. */
function decode(text: string): string | undefined {
  if (!text.includes("%") && /^[\x21-\x7e]*$/.test(text)) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function utf8Length(text: string): number {
  let length = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    // Each half of a surrogate pair stands for two of the four bytes.
    length += code < 0x80 ? 1 : code < 0x800 || (code & 0xf800) === 0xd800 ? 2 : 3;
  }
  return length;
}
