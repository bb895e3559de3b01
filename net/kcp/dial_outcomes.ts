/** What becomes of dials: counted by outcome, and remembered while the last one has not got to the server. */

import { dialFailureOf, messageOf } from "../../protocol/errors.ts";
import type { Counter } from "../../protocol/metrics.ts";

export class DialOutcomes {
  readonly #dials: Counter;
  #problem: string | undefined;

  /** `dials` has the label `outcome`. */
  constructor(dials: Counter) {
    this.#dials = dials;
  }

  /** Why the last dial did not get to the server; undefined when it did, or there was none. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** What the dial gives, or rejects with. */
  async of<T>(dial: Promise<T>): Promise<T> {
    try {
      const dialled = await dial;
      this.#dials.add(1, { outcome: "ok" });
      this.#problem = undefined;
      return dialled;
    } catch (error) {
      const outcome = dialFailureOf(error);
      this.#dials.add(1, { outcome });
      if (outcome === "path_down") this.#problem = messageOf(error);
      throw error;
    }
  }
}
