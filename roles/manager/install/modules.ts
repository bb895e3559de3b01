/**
 * The modules that our program is made of, in a folder that every user may read: services of a user of their own cannot look
 * into the cache of whoever installs them, and are not to fetch anything themselves.
 *
 *   own cache ─ npm/, remote/ ─▶ folder ─ deno cache ─▶ compiled as well
 */

import { join } from "@std/path";
import { CulvertError } from "../../../protocol/errors.ts";
import { escapeText } from "../../escape.ts";
import type { CommandWords } from "../own_command.ts";

/** What cannot be made anew without the network. */
const FETCHED = ["npm", "remote"];
const MAX_SHOWN = 400;

export async function shareModules(
  { command, path }: { readonly command: CommandWords; readonly path: string },
  signal: AbortSignal,
): Promise<void> {
  const [deno, ...words] = command;
  const main = words.at(-1);
  if (main === undefined) return; // it is one file, modules and all
  await Deno.mkdir(path, { recursive: true, mode: 0o755 });
  const own = await ownCache(deno, signal);
  for (const name of FETCHED) await copyFolder(join(own, name), join(path, name), signal);
  const { success, stderr } = await new Deno.Command(deno, {
    args: ["cache", "--quiet", main],
    env: { DENO_DIR: path },
    stdout: "null",
    stderr: "piped",
    signal,
  }).output();
  signal.throwIfAborted();
  if (!success) {
    const said = escapeText(new TextDecoder().decode(stderr).trim(), MAX_SHOWN);
    throw new CulvertError("program_failed", `Cannot put the modules of culvert into ${path}: ${said}`);
  }
  await openToAll(path, signal);
}

async function ownCache(deno: string, signal: AbortSignal): Promise<string> {
  const { stdout } = await new Deno.Command(deno, { args: ["info", "--json"], stderr: "null", signal }).output();
  signal.throwIfAborted();
  return String(JSON.parse(new TextDecoder().decode(stdout)).denoDir);
}

/** What is there already is as good: it is named by its version or its hash. */
async function copyFolder(from: string, to: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  let entries: Deno.DirEntry[];
  try {
    entries = await Array.fromAsync(Deno.readDir(from));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  await Deno.mkdir(to, { recursive: true, mode: 0o755 });
  for (const { name, isDirectory, isFile } of entries) {
    const target = join(to, name);
    if (isDirectory) await copyFolder(join(from, name), target, signal);
    else if (isFile && !await isThere(target)) await Deno.copyFile(join(from, name), target);
  }
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

/** Whatever umask it was made with. */
async function openToAll(folder: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await Deno.chmod(folder, 0o755);
  for await (const { name, isDirectory, isFile } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) await openToAll(path, signal);
    else if (isFile) await Deno.chmod(path, (await Deno.stat(path)).mode! & 0o100 ? 0o755 : 0o644);
  }
}
