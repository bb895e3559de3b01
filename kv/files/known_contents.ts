/**
 * What is known of files that were read (`protocol/files/known_content.ts`), in memory and in Deno KV. One process writes.
 *
 *   <space> "content" inode size modifiedMs      the root
 *   <space> "pieces" root                        how many bytes, in how many parts
 *   <space> "pieces" root part                   the hashes, 60 KiB a part: 1,920 pieces, or 1.9 GiB of content
 *
 * What is lost is read again.
 */

import type { Clock } from "../../protocol/clock.ts";
import {
  contentKey,
  type KnownContent,
  type KnownContents,
  knownContentSchema,
  type KnownContentStore,
  piecesLengthSchema,
} from "../../protocol/files/known_content.ts";
import type { Bytes } from "../../protocol/primitives.ts";
import { commitAll, type Mutation } from "../commit.ts";
import { GroupCommit } from "../group_commit.ts";
import type { KvSpace } from "../records.ts";
import { inStore } from "../store_error.ts";

/** Below the 64 KiB of a value, and whole hashes. */
const PART_BYTES = 60 * 1024;

/** As long as the process. */
export function createMemoryKnownContents(): KnownContentStore {
  const contents = new Map<string, KnownContent>();
  const pieces = new Map<string, Bytes>();
  return {
    load: () => Promise.resolve({ contents: [...contents.values()], pieces: new Map(pieces) }),
    save(content, hashes) {
      contents.set(contentKey(content), content);
      if (hashes) pieces.set(content.root, hashes);
      return Promise.resolve();
    },
    forget(gone, roots) {
      for (const content of gone) contents.delete(contentKey(content));
      for (const root of roots) pieces.delete(root);
      return Promise.resolve();
    },
  };
}

/** In Deno KV. */
export function createKvKnownContents(kv: Deno.Kv, clock: Clock, { space, guard }: KvSpace): KnownContentStore {
  const store = { kv, clock, guard };
  const saves = new GroupCommit(store, "keep what files contain");
  return {
    load: () => load(kv, space),
    save: (content, pieces) =>
      saves.write([
        { key: keyOf(space, content), value: content.root },
        ...pieces ? partsOf([space, "pieces", content.root], pieces) : [],
      ]),
    async forget(contents, roots) {
      const mutations: Mutation[] = contents.map((content) => ({ key: keyOf(space, content) }));
      for (const root of roots) mutations.push(...await keysOf(kv, [space, "pieces", root]));
      await commitAll(store, "forget what files contained", mutations);
    },
  };
}

function keyOf(space: string, { inode, size, modifiedMs }: KnownContent): Deno.KvKey {
  return [space, "content", inode, size, modifiedMs];
}

function partsOf(prefix: Deno.KvKey, pieces: Bytes): Mutation[] {
  const parts: Mutation[] = [{ key: prefix, value: pieces.length }];
  for (let at = 0; at < pieces.length; at += PART_BYTES) {
    parts.push({ key: [...prefix, at / PART_BYTES], value: pieces.slice(at, at + PART_BYTES) });
  }
  return parts;
}

/** A root's length and its parts. */
async function keysOf(kv: Deno.Kv, prefix: Deno.KvKey): Promise<Mutation[]> {
  const keys: Mutation[] = [{ key: prefix }];
  await inStore("forget what files contained", async () => {
    for await (const { key } of kv.list({ prefix })) keys.push({ key });
  });
  return keys;
}

function load(kv: Deno.Kv, space: string): Promise<KnownContents> {
  return inStore("read what files contain", async () => {
    const contents: KnownContent[] = [];
    for await (const { key, value: root } of kv.list({ prefix: [space, "content"] })) {
      const [inode, size, modifiedMs] = key.slice(2);
      const { data } = knownContentSchema.safeParse({ inode, size, modifiedMs, root });
      if (data) contents.push(data);
    }
    return { contents, pieces: await loadPieces(kv, space) };
  });
}

/** Those of which every part is there. */
async function loadPieces(kv: Deno.Kv, space: string): Promise<Map<string, Bytes>> {
  const pieces = new Map<string, Bytes>();
  const missing = new Map<string, number>();
  // A root's length comes before its parts, and the parts in their order.
  for await (const { key, value } of kv.list({ prefix: [space, "pieces"] })) {
    const [root, part] = key.slice(2);
    if (typeof root !== "string") continue;
    const length = part === undefined ? piecesLengthSchema.safeParse(value).data : undefined;
    if (length !== undefined) {
      pieces.set(root, new Uint8Array(length));
      missing.set(root, length);
      continue;
    }
    const [whole, at] = [pieces.get(root), Number(part) * PART_BYTES];
    if (!whole || !(value instanceof Uint8Array) || at + value.length > whole.length) continue;
    whole.set(value, at);
    missing.set(root, missing.get(root)! - value.length);
  }
  for (const [root, bytes] of missing) if (bytes !== 0) pieces.delete(root);
  return pieces;
}
