/**
 * Adds up what goes over a service's connections, from looks at those that are there. What had gone over the ones of the
 * first look is not counted; of a connection that is new since the last, all is. Not seen is what a connection carries after
 * the last look at it, and one that came and went between two.
 */

import type { Connection } from "../../protocol/bound_socket.ts";

export interface ByteTotals {
  readonly inBytes: number;
  readonly outBytes: number;
}

export class ConnectionBytes {
  #inBytes = 0;
  #outBytes = 0;
  /** Undefined before the first look. */
  #seen: ReadonlyMap<number, ByteTotals> | undefined;

  /** All since the first look; undefined where the kernel tells no bytes. */
  count(connections: readonly Connection[]): ByteTotals | undefined {
    const seen = new Map<number, ByteTotals>();
    for (const { id, inBytes, outBytes } of connections) {
      if (inBytes === undefined || outBytes === undefined) return undefined;
      seen.set(id, { inBytes, outBytes });
      const before = this.#seen ? this.#seen.get(id) ?? NOTHING : { inBytes, outBytes };
      this.#inBytes += inBytes - before.inBytes;
      this.#outBytes += outBytes - before.outBytes;
    }
    this.#seen = seen;
    return { inBytes: this.#inBytes, outBytes: this.#outBytes };
  }
}

const NOTHING: ByteTotals = { inBytes: 0, outBytes: 0 };
