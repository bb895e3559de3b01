/**
 * The modules that our program is made of, in a folder that every user may read: services of a user of their own cannot look
 * into the cache of whoever installs them, and are not to fetch anything themselves.
 *
 *   own cache ─ npm/, remote/ ─▶ folder ─ deno cache ─▶ compiled as well
 */

import { basename, dirname, join } from "@std/path";
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
  const main = words.at(-1)!;
  if (!await isThere(dirname(path))) await makeOpenFolder(dirname(path));
  await makeOpenFolder(path);
  const own = await ownCache(deno, signal);
  for (const name of FETCHED) await copyFolder(join(own, name), join(path, name), signal);
  await compile({ deno, main, path }, signal);
}

/** Reads all modules once, which leaves them compiled; what was not copied is fetched. */
async function compile(
  { deno, main, path }: { readonly deno: string; readonly main: string; readonly path: string },
  signal: AbortSignal,
): Promise<void> {
  const { success, stderr } = await new Deno.Command("/bin/sh", {
    // Whatever umask whoever installs it has, others are to read what it writes.
    args: ["-c", 'umask 022; exec "$0" cache --quiet "$1"', deno, main],
    env: { DENO_DIR: path },
    stdout: "null",
    stderr: "piped",
    signal,
  }).output();
  signal.throwIfAborted();
  if (success) return;
  const said = escapeText(new TextDecoder().decode(stderr).trim(), MAX_SHOWN);
  throw new CulvertError("program_failed", `Cannot put the modules of culvert into ${path}: ${said}`);
}

async function ownCache(deno: string, signal: AbortSignal): Promise<string> {
  const { stdout } = await new Deno.Command(deno, { args: ["info", "--json"], stderr: "null", signal }).output();
  signal.throwIfAborted();
  return String(JSON.parse(new TextDecoder().decode(stdout)).denoDir);
}

/** What is there already is as good: it is named by its version or its hash. The files of one folder are copied at once. */
async function copyFolder(from: string, to: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  let entries: Deno.DirEntry[];
  try {
    entries = await Array.fromAsync(Deno.readDir(from));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  await makeOpenFolder(to);
  const names = (kind: "isFile" | "isDirectory") => entries.filter((entry) => entry[kind]).map(({ name }) => name);
  await Promise.all(names("isFile").map((name) => copyFile(join(from, name), join(to, name))));
  for (const name of names("isDirectory")) await copyFolder(join(from, name), join(to, name), signal);
}

async function makeOpenFolder(path: string): Promise<void> {
  await Deno.mkdir(path, { recursive: true });
  await Deno.chmod(path, 0o755);
}

/**
 * There whole or not at all: a file that is half there would be taken for a good one the next time. Each of two that copy at
 * once has a half of its own.
 */
async function copyFile(from: string, to: string): Promise<void> {
  if (await isThere(to)) return;
  const half = await Deno.makeTempFile({ dir: dirname(to), prefix: `.${basename(to)}.` });
  try {
    await Deno.copyFile(from, half);
    await Deno.chmod(half, 0o644);
    await Deno.rename(half, to);
  } catch (error) {
    await Deno.remove(half).catch(() => {});
    throw error;
  }
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}
