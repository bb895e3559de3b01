/**
 * An engine in a Worker, as the main thread has it: starts it, asks it, hears what it tells, and ends it.
 *
 *   ask ─▶ message + eventfd ─▶ Worker: engine_loop.ts ─▶ the engine, which sleeps in the kernel
 *   answers, news, log ◀─ messages ◀┘
 *
 * What an engine is, and what is said, is its maker's: `relay/`, `wireguard/`.
 */

import { CulvertError } from "../protocol/errors.ts";
import type { Log } from "../protocol/log.ts";
import { type Libc, openLibc } from "./libc.ts";
import { EventFd } from "./poll.ts";
import { type EngineTalk, errorOf, type FromEngine, type ToEngine } from "./worker_messages.ts";

export interface EngineWorkerOptions<Talk extends EngineTalk> {
  /** Its module, which calls `runEngine`. */
  readonly module: URL;
  /** Of the thread. */
  readonly name: string;
  readonly start: Talk["options"];
  readonly log: Log;
  /** What it is called in errors, behind "the". */
  title(): string;
  onNews?(news: Talk["news"]): void;
}

interface Question<Talk extends EngineTalk> {
  resolve(answer: Talk["answer"]): void;
  reject(error: Error): void;
}

export class EngineWorker<Talk extends EngineTalk> {
  /** Settles with what it says of itself; rejects with the reason when it cannot be. */
  readonly started: Promise<Talk["started"]>;
  /** Settles when it has ended: undefined after `close`, otherwise what ended it. */
  readonly ended: Promise<Error | undefined>;
  readonly #options: EngineWorkerOptions<Talk>;
  readonly #libc: Libc;
  readonly #wake: EventFd;
  readonly #worker: Worker;
  readonly #questions = new Map<number, Question<Talk>>();
  readonly #starting = Promise.withResolvers<Talk["started"]>();
  readonly #ending = Promise.withResolvers<Error | undefined>();
  #nextId = 0;
  #isClosing = false;
  #hasEnded = false;

  constructor(options: EngineWorkerOptions<Talk>) {
    const { module, name, start } = options;
    this.#options = options;
    this.started = this.#starting.promise;
    this.ended = this.#ending.promise;
    using opened = new DisposableStack();
    this.#libc = opened.use(openLibc());
    this.#wake = opened.use(new EventFd(this.#libc));
    this.#worker = new Worker(module, { type: "module", name });
    opened.move();
    this.#worker.onmessage = ({ data }: MessageEvent<FromEngine<Talk>>) => this.#hear(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end(new CulvertError("engine_failed", `The ${options.title()} failed: ${event.message}`));
    };
    this.#post({ type: "start", options: start, wakeFd: this.#wake.fd });
  }

  /** Rejects with what the engine says against it, or with `closed`. */
  ask(command: Talk["command"]): Promise<Talk["answer"]> {
    if (this.#isClosing || this.#hasEnded) {
      return Promise.reject(new CulvertError("closed", `Cannot ask the ${this.#options.title()}: it has ended`));
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#questions.set(id, { resolve, reject });
      this.#post({ type: "command", id, command });
    });
  }

  /** Lets it end in order. The second time harmless. */
  async close(): Promise<void> {
    if (!this.#isClosing && !this.#hasEnded) {
      this.#isClosing = true;
      this.#post({ type: "close" });
    }
    await this.ended;
  }

  #post(message: ToEngine<Talk>): void {
    this.#worker.postMessage(message);
    this.#wake.wake();
  }

  #hear(message: FromEngine<Talk>): void {
    switch (message.type) {
      case "started":
        return this.#starting.resolve(message.started);
      case "answer": {
        const question = this.#questions.get(message.id);
        this.#questions.delete(message.id);
        return message.error ? question?.reject(errorOf(message.error)) : question?.resolve(message.answer);
      }
      case "news":
        return this.#options.onNews?.(message.news);
      case "log":
        return this.#options.log[message.level](message.message, message.fields);
      case "ended":
        return this.#end(message.error && errorOf(message.error));
    }
  }

  /** Once: lets go of everything and tells everyone who waits. */
  #end(error: Error | undefined): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#worker.terminate();
    this.#wake[Symbol.dispose]();
    this.#libc[Symbol.dispose]();
    const reason = error ?? new CulvertError("closed", `The ${this.#options.title()} was closed`);
    this.#starting.reject(reason);
    this.#starting.promise.catch(() => {}); // it is told by `ended` too
    for (const { reject } of this.#questions.values()) reject(reason);
    this.#questions.clear();
    this.#ending.resolve(error);
  }
}
