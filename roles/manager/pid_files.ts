/**
 * The pid files of our own services, `<run dir>/<name>.pid`, as `protocol/manager/pid_file.ts` writes them.
 *
 *   read ─▶ names a process that runs ─▶ that process
 *        └▶ anything else ─▶ told, taken away: the pid in it is never signalled
 *
 * A pid file is a hint: the process is known by its start time and the machine's boot, and one without a pid file is found by
 * its mark (`strays.ts`). So a disk that is full, or a manager that is killed in the middle of a start, loses nothing, but for
 * services of other users where the manager may not read their environment (no CAP_SYS_PTRACE).
 */

import { join } from "@std/path";
import { isRunning, type ProcessId } from "../../native/process_exits.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import { formatPidFile, MAX_PID_FILE_BYTES, parsePidFile } from "../../protocol/manager/pid_file.ts";

export interface PidFilesOptions {
  readonly directory: string;
  readonly bootId: string;
  readonly log: Log;
}

export interface NamedProcess extends ProcessId {
  readonly commandHash: string;
}

export class PidFiles {
  readonly #options: PidFilesOptions;

  constructor(options: PidFilesOptions) {
    this.#options = options;
  }

  /** The process that the file names, if it runs. */
  read(name: string): NamedProcess | undefined {
    const text = this.#text(name);
    if (text === undefined) return undefined;
    const file = parsePidFile(text);
    if (!file) return this.#takeAway(name, "it holds no pid");
    const { pid, identity } = file;
    if (!identity) return this.#takeAway(name, "it does not say when its process started", pid);
    if (identity.bootId !== this.#options.bootId) return this.#takeAway(name, "it is from before the last boot", pid);
    const process = { pid, startTicks: identity.startTicks, commandHash: identity.commandHash };
    if (isRunning(process)) return process;
    return this.#takeAway(name, "its process is gone; another may have the pid", pid);
  }

  /** What cannot be written is told, and done without. */
  write(name: string, { pid, startTicks, commandHash }: NamedProcess): void {
    const path = this.#path(name);
    const temp = join(this.#options.directory, `.${name}.pid.tmp`);
    try {
      Deno.writeTextFileSync(temp, formatPidFile(pid, { startTicks, bootId: this.#options.bootId, commandHash }));
      Deno.renameSync(temp, path);
    } catch (error) {
      remove(temp);
      this.#options.log.warn("A pid file cannot be written", { service: name, path, error: messageOf(error) });
    }
  }

  /** If it still names that process. */
  removeOf(name: string, process: ProcessId): void {
    const file = parsePidFile(this.#text(name) ?? "");
    if (file?.pid === process.pid && file.identity?.startTicks === process.startTicks) remove(this.#path(name));
  }

  remove(name: string): void {
    remove(this.#path(name));
  }

  #text(name: string): string | undefined {
    const path = this.#path(name);
    try {
      using file = Deno.openSync(path);
      // One byte more than may be there, whatever else somebody has put there.
      const bytes = new Uint8Array(MAX_PID_FILE_BYTES + 1);
      return new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes) ?? 0));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) {
        this.#options.log.warn("A pid file cannot be read", { service: name, path, error: messageOf(error) });
      }
      return undefined;
    }
  }

  #takeAway(name: string, why: string, pid?: number): undefined {
    const path = this.#path(name);
    this.#options.log.warn("A pid file was of no use and is taken away", { service: name, path, why, pid });
    remove(path);
  }

  #path(name: string): string {
    return join(this.#options.directory, `${name}.pid`);
  }
}

function remove(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It is gone, or cannot be changed; either way it is written over, or told at the next look.
  }
}
