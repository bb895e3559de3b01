/**
 * The shared folder. Everything that is read or written is opened here, and only what really lies in it is: links may lead
 * around within it, and not out.
 *
 *   path ─▶ open ─▶ where is what was opened? ─▶ in the folder, and in what the guest may see ─▶ OpenFile
 *
 * Looking first and opening then would leave a moment in which a link can be put in between. So the kernel is asked about the
 * open file (`/proc/self/fd`). Without that, the path is resolved afterwards, and what is there has to be the open file, twice.
 */

import { realpathSync, statSync } from "node:fs";
import { isHidden, isWithin, joinPath } from "../../protocol/files/safe_path.ts";
import { OpenFile } from "./open_file.ts";

export interface SharedRootOptions {
  /** Whether files whose names begin with a dot are shared as well. */
  readonly showsHidden?: boolean | undefined;
  /** Where the kernel tells where open files are. */
  readonly descriptors?: string | undefined;
}

/** Something that is open, and where it really lies: a path from the shared folder. */
export interface Opened {
  readonly file: OpenFile;
  readonly realPath: string;
}

/** What the system says when there is nothing that could be shared. */
const ABSENT: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "EACCES", "EPERM", "ELOOP", "ENXIO", "ENAMETOOLONG"]);

export class SharedRoot {
  /** Where it really is. */
  readonly folder: string;
  readonly showsHidden: boolean;
  readonly #descriptors: string | undefined;

  /** Throws when it is no folder. */
  constructor(folder: string, options: SharedRootOptions = {}) {
    this.folder = realpathSync(folder);
    if (!statSync(this.folder).isDirectory()) {
      throw new TypeError(`Cannot share files: the folder must be a folder, got ${folder}`);
    }
    this.showsHidden = options.showsHidden ?? false;
    this.#descriptors = "descriptors" in options
      ? options.descriptors
      : Deno.build.os === "linux"
      ? "/proc/self/fd"
      : undefined;
  }

  /**
   * Undefined for what is not there, is hidden, leads out of the folder or of `scope`, or is neither a file nor a folder.
   * Throws when the system has no more files to open.
   */
  open(path: string, scope: string): Opened | undefined {
    if (isHidden(path, this.showsHidden) || !isWithin(scope, path)) return undefined;
    const file = openPath(this.fullPath(path), this.#descriptors);
    if (!file) return undefined;
    try {
      const realPath = file.state.kind === "other" ? undefined : this.#placeOf(file, path);
      if (realPath !== undefined && this.#maySee(realPath, scope)) return { file, realPath };
    } catch (error) {
      file[Symbol.dispose]();
      if (isAbsence(error)) return undefined;
      throw error;
    }
    file[Symbol.dispose]();
    return undefined;
  }

  /** Where a path leads, from the shared folder; undefined when it is not there or leads out. What it says may be over at once. */
  resolve(path: string): string | undefined {
    try {
      return this.#within(realpathSync(this.fullPath(path)));
    } catch {
      return undefined;
    }
  }

  /** For the system. */
  fullPath(path: string): string {
    return path === "" ? this.folder : joinPath(this.folder === "/" ? "" : this.folder, path);
  }

  /** What an open folder is called, so that what lies in it is reached through what is open and not through its name. */
  pathOf({ file, realPath }: Opened): string {
    return this.#descriptors ? `${this.#descriptors}/${file.descriptor}` : this.fullPath(realPath);
  }

  /** A guest's folder may itself be a link; what counts is what lies in the folder to which it leads. */
  #maySee(realPath: string, scope: string): boolean {
    if (isHidden(realPath, this.showsHidden)) return false;
    if (isWithin(scope, realPath)) return true;
    const realScope = this.resolve(scope);
    return realScope !== undefined && isWithin(realScope, realPath);
  }

  #placeOf(file: OpenFile, path: string): string | undefined {
    if (this.#descriptors) return this.#within(Deno.readLinkSync(`${this.#descriptors}/${file.descriptor}`));
    const first = this.#resolved(file, path);
    return first !== undefined && first === this.#resolved(file, path) ? first : undefined;
  }

  #resolved(file: OpenFile, path: string): string | undefined {
    const place = realpathSync(this.fullPath(path));
    const { dev, ino } = statSync(place);
    return dev === file.state.device && ino === file.state.inode ? this.#within(place) : undefined;
  }

  #within(place: string): string | undefined {
    if (place === this.folder) return "";
    const start = this.folder === "/" ? "/" : `${this.folder}/`;
    return place.startsWith(start) ? place.slice(start.length) : undefined;
  }
}

/** Whether an error says that there is nothing, rather than that something is wrong with us. */
export function isAbsence(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || ABSENT.has(codeOf(error));
}

/** The system's name of what went wrong, such as `ENOSPC`. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

function openPath(path: string, descriptors: string | undefined): OpenFile | undefined {
  try {
    return new OpenFile(path, descriptors);
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}
