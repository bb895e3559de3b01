/**
 * The parts of a network that `culvert up` runs, each a role in a Worker of its own, as it would be a process of its own
 * elsewhere. All load at once; they start when they are told, and stop last to first.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import { WorkerRole, type WorkerSettings } from "./worker_role.ts";

export interface Part<Name extends string> {
  readonly name: Name;
  /** Of the registry. */
  readonly role: string;
}

export class RunningParts<Name extends string> implements AsyncDisposable {
  readonly #parts: readonly Part<Name>[];
  readonly #log: Log;
  readonly #running = new Map<Name, WorkerRole>();
  readonly #addresses = new Map<Name, Readonly<Record<string, string>>>();
  #hasSettled = false;
  #hasStopped = false;
  readonly #fault = Promise.withResolvers<never>();

  constructor(parts: readonly Part<Name>[], log: Log) {
    this.#parts = parts;
    this.#log = quieter(log, () => this.#hasSettled);
    this.#fault.promise.catch(() => {});
    for (const part of parts) this.#load(part);
  }

  /** Settles when it is ready. One that was killed is loaded again. */
  async start(name: Name, settings: WorkerSettings): Promise<void> {
    if (this.#hasStopped) throw new CulvertError("stopped", `Cannot start ${name}: the network has stopped`);
    const part = this.#running.get(name) ?? this.#load(this.#parts.find((known) => known.name === name)!);
    await part.start(settings);
    this.#addresses.set(name, part.addresses);
  }

  /** From now on warnings are for people: until then it is no news that parts do not find each other. */
  settled(): void {
    this.#hasSettled = true;
  }

  /** Where it can be reached, or could when it ran last; undefined before it has started. */
  addressesOf(name: Name): Readonly<Record<string, string>> | undefined {
    return this.#addresses.get(name);
  }

  isRunning(name: Name): boolean {
    return this.#running.has(name);
  }

  /** Why a part does not run that should. */
  failureOf(name: Name): string | undefined {
    return this.#running.get(name)?.failure;
  }

  /** Rejects when a part has ended by itself. */
  get fault(): Promise<never> {
    return this.#fault.promise;
  }

  /** Ends a part at once, without a chance to tell the others. False if it does not run. */
  kill(name: Name): boolean {
    const part = this.#running.get(name);
    this.#running.delete(name);
    part?.kill();
    return part !== undefined;
  }

  /** Stops part by part, those first that others are of use to; ends what is left when `cut` is aborted. */
  async stop(cut?: AbortSignal): Promise<void> {
    this.#hasStopped = true;
    for (const { name } of this.#parts.toReversed()) {
      const part = this.#running.get(name);
      this.#running.delete(name);
      await part?.stop(cut);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #load({ name, role }: Part<Name>): WorkerRole {
    const part = new WorkerRole(role, name, this.#log);
    this.#running.set(name, part);
    const end = (error?: unknown) => {
      if (this.#running.get(name) === part) this.#fault.reject(error ?? new CulvertError("ended", `${name} has ended`));
    };
    part.ended.then(end, end);
    return part;
  }
}

/** What parts say of their everyday business is for who asks for it. */
function quieter(log: Log, isToBeWarned: () => boolean): Log {
  return {
    debug: (message, fields) => log.debug(message, fields),
    info: (message, fields) => log.debug(message, fields),
    warn: (message, fields) => isToBeWarned() ? log.warn(message, fields) : log.debug(message, fields),
    error: (message, fields) => log.error(message, fields),
    with: (fields) => quieter(log.with(fields), isToBeWarned),
  };
}
