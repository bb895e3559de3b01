/**
 * What is remembered of files that were read, so that after a restart only those that have changed are read again. A file is
 * recognised by what a move leaves as it was, not by its path:
 *
 *   inode, size, time of the last change ─▶ root       root ─▶ the hashes of its pieces, where it has several
 *
 * The stores are in `kv/files/`.
 */

import { z } from "zod";
import { countSchema } from "../fields.ts";
import type { Bytes } from "../primitives.ts";
import { rootSchema } from "./listing.ts";
import { HASH_BYTES } from "./tree_hash.ts";

export const knownContentSchema = z.object({
  /** As the file system numbers it: beyond 2^53 some share a number here, and differ in the rest. */
  inode: z.number().min(0),
  size: countSchema,
  /** Milliseconds since 1970; before that it is negative. */
  modifiedMs: z.int(),
  root: rootSchema,
});
export type KnownContent = z.infer<typeof knownContentSchema>;

/** How many bytes the hashes of a content's pieces are. */
export const piecesLengthSchema = z.int().min(HASH_BYTES).multipleOf(HASH_BYTES);

/** All that was remembered. */
export interface KnownContents {
  readonly contents: readonly KnownContent[];
  /** By root. One that is not whole is left out. */
  readonly pieces: ReadonlyMap<string, Bytes>;
}

export interface KnownContentStore {
  load(): Promise<KnownContents>;
  /** `pieces` is left out for a content of one piece, whose root says it all. */
  save(content: KnownContent, pieces?: Bytes): Promise<void>;
  /** `roots`: of contents that nothing has any more. */
  forget(contents: readonly KnownContent[], roots: readonly string[]): Promise<void>;
}

/** One text for each file that is told from others. */
export function contentKey({ inode, size, modifiedMs }: Omit<KnownContent, "root">): string {
  return `${inode} ${size} ${modifiedMs}`;
}
