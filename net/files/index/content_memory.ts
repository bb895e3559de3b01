/**
 * What is known of contents, in memory and in a store: the root of each file that was read, as long as it is recognised, and
 * the hashes of the pieces of those that have several.
 *
 * A file that has gone stays known for a while: it may have been moved.
 */

import { setImmediate } from "node:timers/promises";
import { messageOf } from "../../../protocol/errors.ts";
import { contentKey, type KnownContent, type KnownContentStore } from "../../../protocol/files/known_content.ts";
import { type ContentTree, EMPTY_ROOT, PIECE_BYTES } from "../../../protocol/files/tree_hash.ts";
import type { Log } from "../../../protocol/log.ts";
import type { Bytes } from "../../../protocol/primitives.ts";
import type { SeenFile } from "./folder_reader.ts";

const FILES_AT_ONCE = 2000;

export class ContentMemory implements AsyncDisposable {
  readonly #store: KnownContentStore;
  readonly #log: Log;
  readonly #contents = new Map<string, KnownContent>();
  readonly #pieces = new Map<string, Bytes>();
  readonly #writes = new Set<Promise<void>>();
  #hasFailed = false;

  private constructor(store: KnownContentStore, log: Log) {
    this.#store = store;
    this.#log = log;
  }

  /** With all that the store remembers; with nothing, and a warning, if it cannot be read. */
  static async open(store: KnownContentStore, log: Log): Promise<ContentMemory> {
    const memory = new ContentMemory(store, log);
    try {
      const { contents, pieces } = await store.load();
      for (const [root, hashes] of pieces) memory.#pieces.set(root, hashes);
      for (const content of contents) {
        if (content.size <= PIECE_BYTES || pieces.has(content.root)) memory.#contents.set(contentKey(content), content);
      }
    } catch (error) {
      log.warn("What files contain is not remembered: all are read again", { reason: messageOf(error) });
    }
    return memory;
  }

  rootOf(file: SeenFile): string | undefined {
    return this.#contents.get(contentKey(file))?.root;
  }

  /** The hashes of a content's pieces; of one piece, it is the root itself. */
  piecesOf(root: string): Bytes {
    return this.#pieces.get(root) ?? (root === EMPTY_ROOT ? new Uint8Array(0) : Uint8Array.fromHex(root));
  }

  add({ inode, size, modifiedMs }: SeenFile, { root, pieces }: ContentTree): void {
    const content = { inode, size, modifiedMs, root };
    const isOfSeveral = size > PIECE_BYTES;
    this.#contents.set(contentKey(content), content);
    if (isOfSeveral) this.#pieces.set(root, pieces);
    this.#write(isOfSeveral ? this.#store.save(content, pieces) : this.#store.save(content));
  }

  /** Forgets the contents of all other files, a few at a time: of many it takes a while. What is added meanwhile stays. */
  async keepOnly(files: readonly SeenFile[]): Promise<void> {
    const before = this.#contents.size;
    const kept = new Set<string>();
    for (const file of files) {
      kept.add(contentKey(file));
      if (kept.size % FILES_AT_ONCE === 0) await setImmediate();
    }
    const gone: KnownContent[] = [];
    let looked = 0;
    for (const [key, content] of this.#contents) {
      // What comes after those was added meanwhile.
      if (looked++ === before) break;
      if (looked % FILES_AT_ONCE === 0) await setImmediate();
      if (!kept.has(key) && this.#contents.delete(key)) gone.push(content);
    }
    if (gone.length === 0) return;
    const roots = new Set(Array.from(this.#contents.values(), ({ root }) => root));
    const goneRoots = [...this.#pieces.keys()].filter((root) => !roots.has(root));
    for (const root of goneRoots) this.#pieces.delete(root);
    this.#write(this.#store.forget(gone, goneRoots));
  }

  /** Waits for what is being written. */
  async [Symbol.asyncDispose](): Promise<void> {
    while (this.#writes.size > 0) await Promise.all(this.#writes);
  }

  #write(writing: Promise<void>): void {
    const written = writing.then(
      () => void (this.#hasFailed = false),
      (error) => {
        if (!this.#hasFailed) {
          this.#log.warn("What files contain cannot be kept: they are read again after a restart", {
            reason: messageOf(error),
          });
        }
        this.#hasFailed = true;
      },
    ).finally(() => this.#writes.delete(written));
    this.#writes.add(written);
  }
}
