/**
 * Sets on their way to the ledger: those that come while others are being written go together, so that a tick of many
 * accounts is a few commits. A set is answered when the store has answered for it; when the store fails, all that went
 * together fail, and whoever sent one sends it again: `exists` tells that it had been written.
 */

import { CulvertError } from "../../../protocol/errors.ts";
import type { LedgerStore, SetOutcome, TransferSet } from "../../../protocol/sharing/ledger.ts";

/** At once to the store. */
const MAX_TOGETHER = 256;
/** Each account has at most one under way, so this is a bound on accounts. */
const MAX_WAITING = 100_000;

interface Waiting {
  readonly set: TransferSet;
  readonly resolve: (outcome: SetOutcome) => void;
  readonly reject: (error: unknown) => void;
}

export class LedgerQueue {
  readonly #ledger: Pick<LedgerStore, "apply">;
  #waiting: Waiting[] = [];
  #isRunning = false;

  constructor(ledger: Pick<LedgerStore, "apply">) {
    this.#ledger = ledger;
  }

  apply(set: TransferSet): Promise<SetOutcome> {
    if (this.#waiting.length >= MAX_WAITING) {
      const message = `Cannot write to the ledger: at most ${MAX_WAITING} sets must wait, got one more`;
      return Promise.reject(new CulvertError("store_busy", message));
    }
    const { promise, resolve, reject } = Promise.withResolvers<SetOutcome>();
    this.#waiting.push({ set, resolve, reject });
    if (!this.#isRunning) void this.#run();
    return promise;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    // Those of one turn go together.
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#write(this.#waiting.splice(0, MAX_TOGETHER));
    this.#isRunning = false;
  }

  async #write(together: readonly Waiting[]): Promise<void> {
    try {
      const outcomes = await this.#ledger.apply(together.map(({ set }) => set));
      for (const [at, { resolve }] of together.entries()) resolve(outcomes[at]!);
    } catch (error) {
      for (const { reject } of together) reject(error);
    }
  }
}
