/**
 * Whom an administrator has blocked, here or in another process on the same store: kept at hand, since every stream and
 * every call asks, and followed, so that whoever is blocked is turned away at once. A store that fails is asked again;
 * what was last read holds until then.
 */

import type { BlockList, BlockStore } from "../../kv/blocks.ts";
import { type Clock, delay } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Block, BlockKind } from "../../protocol/stored_records.ts";

const RETRY_MS = 1_000;

export interface BlockWatchOptions {
  readonly store: BlockStore;
  readonly clock: Clock;
  readonly log: Log;
  /** For each block once: when it has come, or when it is first read. */
  turnAway(block: Block): Promise<void>;
}

export class BlockWatch {
  readonly #options: BlockWatchOptions;
  #blocks: BlockList;

  /** `blocks` are those that were there when it was read last. */
  constructor(blocks: BlockList, options: BlockWatchOptions) {
    this.#blocks = blocks;
    this.#options = options;
  }

  /** As it was last read. */
  get list(): BlockList {
    return this.#blocks;
  }

  has(kind: BlockKind, peerId: string): boolean {
    return this.#blocks.has(kind, peerId);
  }

  /** Until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { log, clock } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#follow(signal);
      } catch (error) {
        if (signal.aborted) return;
        log.error("Cannot read the blocks", { error: messageOf(error) });
        await delay(clock, RETRY_MS, signal).catch(() => {});
      }
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    let known: BlockList | undefined;
    for await (const blocks of this.#options.store.watch(signal)) {
      this.#blocks = blocks;
      for (const block of blocks) {
        if (!known?.has(block.kind, block.peerId)) await this.#options.turnAway(block);
      }
      known = blocks;
    }
  }
}
