/**
 * One process of a service that the manager runs itself, from its start or adoption to its end: how it ends, and what is held
 * open for it meanwhile.
 */

import type { ProcessExits } from "../../native/process_exits.ts";
import type { LogFile } from "./log_file.ts";
import type { OwnNotices } from "./own_notices.ts";
import type { Notices, RunningProcess, ServiceExit } from "./runner.ts";

export interface OwnServiceOptions {
  readonly process: RunningProcess;
  /** Where it is ours; undefined for one that an earlier manager has started. */
  readonly child: Deno.ChildProcess | undefined;
  /** Where it says anything. */
  readonly notices: OwnNotices | undefined;
  readonly logFile: LogFile;
  readonly exits: ProcessExits;
  /** At once when it has ended, before anybody else is told. */
  onEnd(): void;
}

export class OwnService implements AsyncDisposable {
  readonly process: RunningProcess;
  /** Of one that is not ours it is known only that it has ended. Rejects with `closed` where `exits` is closed before. */
  readonly ended: Promise<ServiceExit>;
  readonly #options: OwnServiceOptions;
  #isLeft = false;

  constructor(options: OwnServiceOptions) {
    this.#options = options;
    this.process = options.process;
    this.ended = this.#end();
    this.ended.catch(() => {}); // Nobody has to ask.
  }

  get notices(): Notices {
    return this.#options.notices?.said ?? {};
  }

  get isDiskFull(): boolean {
    return this.#options.logFile.isDiskFull;
  }

  /** Lets go of it; if it still runs, it goes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isLeft = true;
    const { child, notices, logFile } = this.#options;
    child?.unref();
    notices?.[Symbol.dispose]();
    await logFile[Symbol.asyncDispose]();
  }

  async #end(): Promise<ServiceExit> {
    const { child, exits, process, onEnd } = this.#options;
    const exit = child ? exitOf(await child.status) : await exits.ended(process).then(() => ({}));
    if (!this.#isLeft) onEnd();
    return exit;
  }
}

function exitOf({ code, signal }: Deno.CommandStatus): ServiceExit {
  return signal === null ? { code } : { signal };
}
