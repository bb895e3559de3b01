/**
 * Files nobody else may read: keys. They have mode 0600 from their first byte, appear whole or not at all, are on the
 * disk before anyone relies on them, and are refused when others could have read them.
 *
 *   temp file beside it (created new, 0600) → write → fsync → link or rename to its name → fsync the directory
 *
 * After a kill at any step there is the old file or the new one, and at most a `.<name>.tmp` to clear away. The
 * messages never contain what is in a file.
 */

import { basename, dirname, join } from "@std/path";
import { CulvertError } from "../protocol/errors.ts";
import { writeAll } from "../protocol/stream.ts";

const OTHERS = 0o077;
/** Far above any of ours; a wrong path must not fill the memory. */
const MAX_BYTES = 64 * 1024;

/** The file's bytes, or undefined if there is none. Throws `insecure_file` if others may read or write it. */
export async function readPrivateFile(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  using file = await openIfThere(path);
  if (!file) return undefined;
  const { isFile, mode, size } = await file.stat();
  if (!isFile) throw new CulvertError("corrupt_file", `Cannot read ${path}: it must be a file`);
  if (mode !== null && mode & OTHERS) {
    const got = (mode & 0o777).toString(8).padStart(4, "0");
    throw new CulvertError(
      "insecure_file",
      `Cannot read ${path}: its mode must be 0600, got ${got}; others may have read the key in it. ` +
        `If you trust them: chmod 600 ${shellWord(path)}`,
    );
  }
  if (size > MAX_BYTES) {
    throw new CulvertError("corrupt_file", `Cannot read ${path}: it must be at most ${MAX_BYTES} bytes, got ${size}`);
  }
  return await readWhole(file, size);
}

/** Makes a file that must not exist yet. Throws `exists` if it does; it is never overwritten. */
export async function createPrivateFile(path: string, bytes: Uint8Array): Promise<void> {
  const temp = await writeTemp(path, bytes);
  try {
    await Deno.link(temp, path); // unlike a rename, fails when the name is taken
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    throw new CulvertError("exists", `Cannot create ${path}: it exists already, and is never overwritten`);
  } finally {
    await Deno.remove(temp);
  }
  await syncDirectory(path);
}

/** Puts a file in place of what was there, if anything. */
export async function replacePrivateFile(path: string, bytes: Uint8Array): Promise<void> {
  await Deno.rename(await writeTemp(path, bytes), path);
  await syncDirectory(path);
}

/** Clears away what writers that were killed have left. Only for whoever keeps other writers out. */
export async function removeStaleTemps(directory: string): Promise<void> {
  for await (const { name } of Deno.readDir(directory)) {
    if (/^\..+\.tmp$/.test(name)) await Deno.remove(join(directory, name));
  }
}

/** A word as a shell takes it, for commands in messages. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

async function openIfThere(path: string): Promise<Deno.FsFile | undefined> {
  try {
    return await Deno.open(path, { read: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function readWhole(file: Deno.FsFile, size: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(size);
  let filled = 0;
  while (filled < size) {
    const count = await file.read(bytes.subarray(filled));
    if (count === null) break;
    filled += count;
  }
  return bytes.subarray(0, filled);
}

async function writeTemp(path: string, bytes: Uint8Array): Promise<string> {
  const temp = join(dirname(path), `.${basename(path)}.tmp`);
  using file = await createTemp(temp, path);
  try {
    await writeAll(file, bytes);
    await file.sync();
  } catch (error) {
    await Deno.remove(temp);
    throw error;
  }
  return temp;
}

async function createTemp(temp: string, path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(temp, { write: true, createNew: true, mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    throw new CulvertError(
      "exists",
      `Cannot create ${path}: ${temp} must not exist; another program is at it, or was killed. ` +
        `If none is: rm ${shellWord(temp)}`,
    );
  }
}

/** A name is only sure to survive a power cut once its directory is on the disk. */
async function syncDirectory(path: string): Promise<void> {
  if (Deno.build.os === "windows") return; // which cannot open one
  using directory = await Deno.open(dirname(path), { read: true });
  await directory.sync();
}
