/**
 * Single writes gathered into few commits: those of one turn of the event loop go together, and while a commit is under
 * way the writes that arrive queue up for the next. Alone, a write is as fast as ever; ten thousand at once are a dozen
 * commits. Each writer is told when its own write is durable.
 *
 * Order is kept. When a commit fails all its writers are told so, except that one write which is too large is told
 * apart from its neighbours. At most `MAX_WAITING` wait, and who comes then is refused with `store_busy`.
 */

import { setImmediate } from "node:timers";
import { CulvertError } from "../protocol/errors.ts";
import { commitAll, type Mutation, type Writable } from "./commit.ts";

const MAX_WAITING = 100_000;

interface Write {
  readonly mutations: readonly Mutation[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class GroupCommit {
  readonly #store: Writable;
  readonly #deed: string;
  #waiting: Write[] = [];
  #isRunning = false;

  /** `deed` completes "Cannot …" when a commit fails. */
  constructor(store: Writable, deed: string) {
    this.#store = store;
    this.#deed = deed;
  }

  /** Resolves once all the mutations are kept. They are not one commit of their own: keep it to one key, or few. */
  write(mutations: readonly Mutation[]): Promise<void> {
    if (this.#waiting.length >= MAX_WAITING) {
      const message = `Cannot ${this.#deed}: at most ${MAX_WAITING} writes must wait, got one more`;
      return Promise.reject(new CulvertError("store_busy", message));
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ mutations, resolve, reject });
    if (!this.#isRunning) void this.#run();
    return promise;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    await new Promise<void>((resolve) => void setImmediate(() => resolve()));
    while (this.#waiting.length > 0) {
      const writes = this.#waiting;
      this.#waiting = [];
      await this.#commit(writes);
    }
    this.#isRunning = false;
  }

  async #commit(writes: readonly Write[]): Promise<void> {
    try {
      await commitAll(this.#store, this.#deed, writes.flatMap(({ mutations }) => mutations));
      for (const { resolve } of writes) resolve();
    } catch (error) {
      const isOneToBlame = error instanceof CulvertError && error.code === "too_large" && writes.length > 1;
      if (isOneToBlame) { for (const write of writes) await this.#commit([write]); }
      else for (const { reject } of writes) reject(error);
    }
  }
}
