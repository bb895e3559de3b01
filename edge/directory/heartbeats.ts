/**
 * Heartbeats of many supernodes in few writes: while one write is under way those that come meanwhile are gathered, and
 * go together in the next. So a lone heartbeat is written at once, a thousand cost as much as one, and no timer is
 * needed. Each is answered when its write is done, and thus truthfully.
 *
 * Of several of one supernode the last counts. There are never more than `maxWaiting` requests: a further one is
 * refused, and so are those whose write fails; a supernode says it again in ten seconds.
 */

import type { SupernodeHeartbeat } from "../../protocol/directory.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { SupernodeStore } from "../../kv/supernodes.ts";

interface Group {
  readonly heartbeats: Map<string, SupernodeHeartbeat>;
  /** The ids that have to register again. */
  readonly written: PromiseWithResolvers<ReadonlySet<string>>;
  requests: number;
}

export class HeartbeatWriter {
  readonly #store: Pick<SupernodeStore, "heartbeat">;
  readonly #maxWaiting: number;
  #isWriting = false;
  #next = newGroup();

  constructor(
    store: Pick<SupernodeStore, "heartbeat">,
    { maxWaiting = 10_000 }: { readonly maxWaiting?: number } = {},
  ) {
    this.#store = store;
    this.#maxWaiting = maxWaiting;
  }

  /** Notes the heartbeats and gives the ids of those that have to register again. */
  async note(heartbeats: readonly SupernodeHeartbeat[]): Promise<string[]> {
    const group = this.#next;
    if (group.requests === this.#maxWaiting) {
      throw new CulvertError("store_busy", `Cannot note a heartbeat: at most ${this.#maxWaiting} requests may wait`);
    }
    group.requests++;
    for (const heartbeat of heartbeats) group.heartbeats.set(heartbeat.supernodeId, heartbeat);
    if (!this.#isWriting) void this.#writeAll();
    const unknown = await group.written.promise;
    return heartbeats.map(({ supernodeId }) => supernodeId).filter((id, at, ids) =>
      unknown.has(id) && ids.indexOf(id) === at
    );
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    while (this.#next.requests > 0) {
      const { heartbeats, written } = this.#next;
      this.#next = newGroup();
      try {
        written.resolve(new Set(await this.#store.heartbeat([...heartbeats.values()])));
      } catch (error) {
        written.reject(error);
      }
    }
    this.#isWriting = false;
  }
}

function newGroup(): Group {
  return { heartbeats: new Map(), written: Promise.withResolvers(), requests: 0 };
}
