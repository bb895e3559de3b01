/**
 * Who is turned away: peers whose admission an administrator has revoked, and supernodes that are no longer dealt
 * with. A block holds until it is lifted. Every process on the store hears of a change: at once in the process that
 * made it and over Deno Deploy's or denokv's KV, else within the poll of `watch.ts`.
 *
 *   <space> "block" kind peerId        Block
 *   <space> "block_revision"           written with every change, for `watch`
 *
 * `watch` gives the whole list each time, since blocks are few and change rarely; `BlockList.has` is for hot paths.
 */

import type { Clock } from "../protocol/clock.ts";
import { type Block, type BlockKind, blockSchema } from "../protocol/stored_records.ts";
import { commitAll } from "./commit.ts";
import { Doorbell } from "./doorbell.ts";
import { type KvSpace, readAll, readOne } from "./records.ts";
import { watchKey } from "./watch.ts";

/** Blocks hold for every supernode and base on a store, and any of them may be told of one. */
export const BLOCKS_SPACE = "network";

export interface BlockStore {
  /** Turns somebody away; replaces an earlier block of theirs. */
  block(block: Block): Promise<void>;
  /** False if there was no such block. */
  unblock(kind: BlockKind, peerId: string): Promise<boolean>;
  find(kind: BlockKind, peerId: string): Promise<Block | undefined>;
  list(): Promise<BlockList>;
  /** The list as it is now, and again after every change until the signal aborts. */
  watch(signal: AbortSignal): AsyncIterable<BlockList>;
}

/** All the blocks at one time. */
export class BlockList implements Iterable<Block> {
  readonly #byKey = new Map<string, Block>();

  constructor(blocks: Iterable<Block>) {
    for (const block of blocks) this.#byKey.set(keyOf(block.kind, block.peerId), block);
  }

  get size(): number {
    return this.#byKey.size;
  }

  has(kind: BlockKind, peerId: string): boolean {
    return this.#byKey.has(keyOf(kind, peerId));
  }

  [Symbol.iterator](): Iterator<Block> {
    return this.#byKey.values();
  }
}

function keyOf(kind: BlockKind, peerId: string): string {
  return `${kind} ${peerId}`;
}

/** Blocks that last as long as the process. */
export function createMemoryBlocks(): BlockStore {
  const blocks = new Map<string, Block>();
  const bells = new Set<Doorbell>();
  const ringAll = () => bells.forEach((bell) => bell.ring());
  return {
    block(block) {
      blocks.set(keyOf(block.kind, block.peerId), block);
      ringAll();
      return Promise.resolve();
    },
    unblock(kind, peerId) {
      const wasThere = blocks.delete(keyOf(kind, peerId));
      if (wasThere) ringAll();
      return Promise.resolve(wasThere);
    },
    find: (kind, peerId) => Promise.resolve(blocks.get(keyOf(kind, peerId))),
    list: () => Promise.resolve(new BlockList(blocks.values())),
    async *watch(signal) {
      const bell = new Doorbell();
      bells.add(bell);
      try {
        while (!signal.aborted) {
          yield new BlockList(blocks.values());
          await bell.wait(signal);
        }
      } finally {
        bells.delete(bell);
      }
    },
  };
}

/** Blocks in Deno KV. */
export function createKvBlocks(kv: Deno.Kv, clock: Clock, { space, guard }: KvSpace): BlockStore {
  const prefix = [space, "block"];
  // Any write gives the key a new version, which is all that `watch` looks at.
  const change = { key: [space, "block_revision"], value: true };

  const keyFor = (kind: BlockKind, peerId: string) => [...prefix, kind, peerId];

  function find(kind: BlockKind, peerId: string): Promise<Block | undefined> {
    return readOne(kv, "look for a block", { key: keyFor(kind, peerId), schema: blockSchema });
  }
  async function list(): Promise<BlockList> {
    return new BlockList(await readAll(kv, "list blocks", { prefix, schema: blockSchema }));
  }
  return {
    block(block) {
      return commitAll({ kv, clock, guard }, `block ${block.peerId}`, [
        { key: keyFor(block.kind, block.peerId), value: block },
        change,
      ]);
    },
    async unblock(kind, peerId) {
      const wasThere = await find(kind, peerId) !== undefined;
      await commitAll({ kv, clock, guard }, `unblock ${peerId}`, [{ key: keyFor(kind, peerId) }, change]);
      return wasThere;
    },
    find,
    list,
    watch: (signal) => watchKey(kv, change.key, { read: list, clock, signal }),
  };
}
