/**
 * Names that peers give their files, as names of files here: one that could lead elsewhere, or that no disk takes, is none.
 */

import { MAX_NAME_BYTES } from "../../protocol/files/listing.ts";
import { PRIVATE_PREFIX } from "../../protocol/files/safe_path.ts";
import { isPartName } from "./part_file.ts";

/** What Windows does not take, beside separators and controls. */
const WINDOWS_UNSAFE = /[<>:"|?*]|[. ]$/;

/** Why a file or folder of that name is not fetched; undefined when it may be. */
export function refusalOfName(name: string): string | undefined {
  if (name === "" || name === "." || name === "..") return "it leads elsewhere";
  if (/[/\\]/.test(name) || hasControls(name) || !name.isWellFormed()) return "its name cannot be one here";
  if (new TextEncoder().encode(name).length > MAX_NAME_BYTES) return "its name is too long";
  if (Deno.build.os === "windows" && WINDOWS_UNSAFE.test(name)) return "its name cannot be one here";
  if (name.toLowerCase().startsWith(PRIVATE_PREFIX)) return "its name is one of our own files";
  return isPartName(name) ? "its name is that of an unfinished file" : undefined;
}

/** For a name that nobody here has typed: what is hidden here, or read by a shell, is not a peer's to write. */
export function shownName(name: string): string {
  return name.replace(/^\.+/, "_");
}

function hasControls(name: string): boolean {
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}
