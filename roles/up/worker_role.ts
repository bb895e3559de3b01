/**
 * A role in a Worker, seen from outside: loaded, started, stopped or killed.
 *
 *   new ─▶ { load } … start ─▶ { start } … ◀─ { ready } … ◀─ { log }* … stop ─▶ { stop } … ◀─ { ended }
 *
 * Loading takes most of the time, so what is to start later can load already. Killing ends the thread wherever it is:
 * nothing is told or drained, and the kernel closes its sockets, as after kill -9 of a process.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { Log, LogFields } from "../../protocol/log.ts";

/** What the Worker is told. */
export type ToWorker =
  | { readonly type: "load"; readonly role: string }
  | { readonly type: "start"; readonly config: Record<string, unknown>; readonly stateDir: string }
  | { readonly type: "stop" };

/** What it tells. */
export type FromWorker =
  | { readonly type: "ready"; readonly addresses: Readonly<Record<string, string>> }
  | {
    readonly type: "log";
    readonly level: keyof Omit<Log, "with">;
    readonly message: string;
    readonly fields: LogFields;
  }
  | { readonly type: "ended"; readonly error?: string };

/** Settings as they would stand in a file, and where keys and state are kept. */
export interface WorkerSettings {
  readonly config: Record<string, unknown>;
  readonly stateDir: string;
}

/** A Worker that does not end by itself within this time is ended, unless the caller decides when. */
const STOP_MS = 5000;

export class WorkerRole implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #name: string;
  readonly #log: Log;
  readonly #ready = Promise.withResolvers<Readonly<Record<string, string>>>();
  readonly #ended = Promise.withResolvers<void>();
  #hasStarted = false;
  #addresses: Readonly<Record<string, string>> = {};
  #failure: string | undefined;

  /** Begins to load a role of the registry. `name` is what it is called here. */
  constructor(role: string, name: string, log: Log) {
    this.#name = name;
    this.#log = log.with({ part: name });
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name });
    this.#worker.onmessage = (event: MessageEvent<FromWorker>) => this.#receive(event.data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end(event.message);
    };
    this.#ready.promise.catch(() => {}); // `start` tells
    this.#ended.promise.catch(() => {}); // and so does `ended`, to who asks
    this.#send({ type: "load", role });
  }

  /** Starts it; settles when it is ready. */
  async start(settings: WorkerSettings): Promise<void> {
    this.#hasStarted = true;
    this.#send({ type: "start", ...settings });
    this.#addresses = await this.#ready.promise;
  }

  get addresses(): Readonly<Record<string, string>> {
    return this.#addresses;
  }

  /** Why it has ended, once it has. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Settles when it has ended; rejects when it failed. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Asks it to stop, waits while it drains, and ends it when `cut` is aborted. */
  async stop(cut?: AbortSignal): Promise<void> {
    if (!this.#hasStarted) return this.kill();
    const end = () => this.#end(undefined);
    const timer = cut ? undefined : setTimeout(end, STOP_MS);
    if (cut?.aborted) end();
    cut?.addEventListener("abort", end, { once: true });
    this.#send({ type: "stop" });
    await this.#ended.promise.catch(() => {}); // whoever waits for `ended` hears of it
    cut?.removeEventListener("abort", end);
    clearTimeout(timer);
    this.#worker.terminate();
  }

  /** Ends it at once, without a chance to tell anyone. */
  kill(): void {
    this.#worker.terminate();
    this.#end(undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #send(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #receive(message: FromWorker): void {
    if (message.type === "ready") this.#ready.resolve(message.addresses);
    else if (message.type === "log") this.#log[message.level](message.message, message.fields);
    else this.#end(message.error);
  }

  #end(error: string | undefined): void {
    this.#failure ??= error ?? `${this.#name} has ended`;
    const failure = new CulvertError("worker_failed", this.#failure);
    this.#ready.reject(failure);
    if (error === undefined) return this.#ended.resolve();
    this.#ended.reject(failure);
  }
}
