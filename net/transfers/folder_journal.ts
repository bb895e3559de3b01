/**
 * Which files of a folder have been fetched, while the others still are: a line of JSON for each, in
 * `.culvert-folder-journal` within the folder. A fetch that goes on later reads none of those again, unless they have been
 * changed here. Gone when the folder is complete.
 */

import { join } from "@std/path";

const NAME = ".culvert-folder-journal";

/** A file as it was when it had been fetched. */
interface Line {
  readonly path: string;
  readonly root: string;
  readonly size: number;
  readonly modifiedMs: number;
  readonly inode: number;
}

export class FolderJournal implements Disposable {
  readonly #file: Deno.FsFile;
  readonly #path: string;
  readonly #lines: ReadonlyMap<string, Line>;

  private constructor(path: string, file: Deno.FsFile, lines: ReadonlyMap<string, Line>) {
    this.#path = path;
    this.#file = file;
    this.#lines = lines;
  }

  /** Whether an unfinished fetch has gone to that folder. */
  static async isIn(folder: string): Promise<boolean> {
    return await Deno.lstat(join(folder, NAME)).then(({ isFile }) => isFile, () => false);
  }

  static async open(folder: string): Promise<FolderJournal> {
    const path = join(folder, NAME);
    const text = await Deno.readTextFile(path).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return "";
      throw error;
    });
    const lines = new Map(text.split("\n").map(readLine).filter((line) => line !== undefined).map((l) => [l.path, l]));
    const file = await Deno.open(path, { append: true, create: true });
    // A line that was cut off must not spoil the next one.
    if (text !== "" && !text.endsWith("\n")) await file.write(new TextEncoder().encode("\n"));
    return new FolderJournal(path, file, lines);
  }

  /** Whether the file has been fetched and is still what it was. */
  async has(path: string, local: string, { root, size }: { root: string; size: number }): Promise<boolean> {
    const line = this.#lines.get(path);
    if (!line || line.root !== root || line.size !== size) return false;
    const stamp = await stampOf(local);
    return stamp?.size === size && stamp.modifiedMs === line.modifiedMs && stamp.inode === line.inode;
  }

  async add(path: string, local: string, root: string): Promise<void> {
    const stamp = await stampOf(local);
    if (!stamp) return;
    const bytes = new TextEncoder().encode(JSON.stringify({ path, root, ...stamp }) + "\n");
    // Whole, and at once: several files are finished at a time.
    this.#file.writeSync(bytes);
  }

  async remove(): Promise<void> {
    await Deno.remove(this.#path);
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

function readLine(text: string): Line | undefined {
  try {
    const line = JSON.parse(text);
    return typeof line?.path === "string" && typeof line.root === "string" ? line : undefined;
  } catch {
    return undefined;
  }
}

async function stampOf(path: string): Promise<Omit<Line, "path" | "root"> | undefined> {
  try {
    const { size, mtime, ino, isFile } = await Deno.lstat(path);
    return isFile ? { size, modifiedMs: mtime?.getTime() ?? 0, inode: ino ?? 0 } : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
