/**
 * The state directory: where a peer keeps what must outlive it, such as its keys. Mode 0700, its files 0600.
 *
 *   $CULVERT_STATE_DIR, else systemd's $STATE_DIRECTORY, else as root /var/lib/culvert,
 *   else $XDG_STATE_HOME/culvert, else ~/.local/state/culvert
 *
 * Whoever writes holds the lock, which the kernel drops when its holder dies. Reading needs none, since files appear
 * whole (`private_file.ts`). What the files say is for those who keep them, such as `identity_store.ts`.
 */

import { dirname, join } from "@std/path";
import { type Clock, delay } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import { createPrivateFile, readPrivateFile, removeStaleTemps, replacePrivateFile, shellWord } from "./private_file.ts";

/** Who may change what a directory holds can put keys of their own there. */
const WRITABLE_BY_OTHERS = 0o022;
const LOCK_FILE = ".lock";
const LOCK_RETRY_MS = 20;

export interface LockOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal;
}

export class StateDirectory {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Opens the directory, making it if need be. Throws `insecure_directory` if others may write to it. */
  static async open(path: string): Promise<StateDirectory> {
    await Deno.mkdir(dirname(path), { recursive: true });
    try {
      await Deno.mkdir(path, { mode: 0o700 });
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
    const { isDirectory, mode } = await Deno.stat(path);
    if (!isDirectory) throw new CulvertError("corrupt_file", `Cannot keep state in ${path}: it must be a directory`);
    if (mode !== null && mode & WRITABLE_BY_OTHERS) {
      const got = (mode & 0o777).toString(8).padStart(4, "0");
      throw new CulvertError(
        "insecure_directory",
        `Cannot keep state in ${path}: its mode must be 0700, got ${got}; others can change what is in it. ` +
          `If you trust them: chmod 700 ${shellWord(path)}`,
      );
    }
    return new StateDirectory(path);
  }

  pathOf(name: string): string {
    return join(this.path, name);
  }

  /** A file's bytes, or undefined if there is none. Throws `insecure_file` if others may read or write it. */
  read(name: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return readPrivateFile(this.pathOf(name));
  }

  /** The names of the files here, sorted; those that begin with a dot are our own business. */
  async names(): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of Deno.readDir(this.path)) if (!name.startsWith(".")) names.push(name);
    return names.sort();
  }

  /** Waits for the right to write, and clears away what a writer that was killed has left. */
  async lock(options: LockOptions): Promise<StateLock> {
    const { clock, signal } = options;
    const file = await Deno.open(this.pathOf(LOCK_FILE), { write: true, create: true, mode: 0o600 });
    try {
      // Not the blocking lock(): it cannot be aborted, and each one waiting would occupy a thread of the runtime.
      while (!await file.tryLock(true)) await delay(clock, LOCK_RETRY_MS, signal);
      await removeStaleTemps(this.path);
    } catch (error) {
      file.close();
      throw error;
    }
    return new StateLock(this, file);
  }
}

/** The right to write to a state directory, until disposed of. */
export class StateLock implements Disposable {
  readonly #state: StateDirectory;
  #file: Deno.FsFile | undefined;

  constructor(state: StateDirectory, file: Deno.FsFile) {
    this.#state = state;
    this.#file = file;
  }

  /** Makes a file that must not exist yet. */
  async create(name: string, bytes: Uint8Array): Promise<void> {
    await createPrivateFile(this.#pathOf(name), bytes);
  }

  /** Puts a file in place of what was there, if anything. */
  async replace(name: string, bytes: Uint8Array): Promise<void> {
    await replacePrivateFile(this.#pathOf(name), bytes);
  }

  [Symbol.dispose](): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #pathOf(name: string): string {
    if (!this.#file) throw new CulvertError("closed", "Cannot write state: the lock was given back");
    return this.#state.pathOf(name);
  }
}
