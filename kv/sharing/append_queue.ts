/**
 * Events on their way into an audit log: a chain grows at one end, so whoever comes while a write is under way waits for
 * the next, which takes all who wait. At most `MAX_WAITING` do, and who comes then is refused with `store_busy`.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { ChainedEntry } from "../../protocol/sharing/audit_chain.ts";
import type { TimedEvent } from "./audit_log.ts";

const MAX_WAITING = 10_000;
/** At the longest an event may be these are less than what one commit to Deno KV takes. */
const MAX_AT_ONCE = 100;

interface Waiting {
  readonly event: TimedEvent;
  readonly resolve: (entry: ChainedEntry) => void;
  readonly reject: (error: unknown) => void;
}

export class AppendQueue {
  readonly #write: (events: readonly TimedEvent[]) => Promise<readonly ChainedEntry[]>;
  #waiting: Waiting[] = [];
  #isRunning = false;

  /** `write` adds all of them or none, and gives their entries. */
  constructor(write: (events: readonly TimedEvent[]) => Promise<readonly ChainedEntry[]>) {
    this.#write = write;
  }

  append(event: TimedEvent): Promise<ChainedEntry> {
    if (this.#waiting.length >= MAX_WAITING) {
      const message = `Cannot add to the audit log: at most ${MAX_WAITING} entries must wait, got one more`;
      return Promise.reject(new CulvertError("store_busy", message));
    }
    const { promise, resolve, reject } = Promise.withResolvers<ChainedEntry>();
    this.#waiting.push({ event, resolve, reject });
    if (!this.#isRunning) void this.#run();
    return promise;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MAX_AT_ONCE);
      try {
        const entries = await this.#write(batch.map(({ event }) => event));
        batch.forEach(({ resolve }, at) => resolve(entries[at]!));
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#isRunning = false;
  }
}
