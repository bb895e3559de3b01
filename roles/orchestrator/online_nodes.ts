/**
 * Tells the counters that all processes of an orchestrator share which nodes are connected to this one: when a node comes,
 * when it goes, and of all again and again, since a process that is killed says nothing any more.
 */

import { ONLINE_NODES } from "../../edge/orchestrator/deps.ts";
import type { Counters } from "../../kv/sharing/counters.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { Log } from "../../protocol/log.ts";
import { repeat } from "../repeating.ts";

export interface OnlineNodesDeps {
  readonly counters: Pick<Counters, "markOnline" | "markOffline">;
  /** Those that are connected here. */
  nodes(): Iterable<{ readonly nodeId: string }>;
  readonly clock: Clock;
  readonly log: Log;
}

const SAY_EVERY_MS = 20_000;
/** Two sayings may be lost. */
const COUNTS_MS = 3 * SAY_EVERY_MS;
const AT_ONCE = 256;

export class OnlineNodes implements Disposable {
  readonly #deps: OnlineNodesDeps;
  readonly #saying: Disposable;

  constructor(deps: OnlineNodesDeps) {
    this.#deps = deps;
    this.#saying = repeat({
      clock: deps.clock,
      everyMs: SAY_EVERY_MS,
      look: (signal) => this.#sayAll(signal),
      onProblem: (error) => deps.log.warn("Which nodes are online could not be said", { error }),
    });
  }

  up(nodeId: string): Promise<void> {
    return this.#deps.counters.markOnline(ONLINE_NODES, nodeId, COUNTS_MS);
  }

  gone(nodeId: string): Promise<void> {
    return this.#deps.counters.markOffline(ONLINE_NODES, nodeId);
  }

  [Symbol.dispose](): void {
    this.#saying[Symbol.dispose]();
  }

  async #sayAll(signal: AbortSignal): Promise<void> {
    const ids = Array.from(this.#deps.nodes(), ({ nodeId }) => nodeId);
    for (let at = 0; at < ids.length && !signal.aborted; at += AT_ONCE) {
      await Promise.all(ids.slice(at, at + AT_ONCE).map((nodeId) => this.up(nodeId)));
    }
  }
}
