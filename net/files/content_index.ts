/**
 * What the file server, transfers and search know of contents: which file has which tree hash. Implemented by the index, which
 * follows the folder; `NO_INDEX` knows nothing.
 */

import type { Found, SearchPage, SearchQuery } from "../../protocol/files/listing.ts";
import type { Bytes } from "../../protocol/primitives.ts";

/** What a file is as far as its content goes. */
export interface FileStamp {
  readonly size: number;
  /** With as many digits as the file system gives. */
  readonly modifiedMs: number;
}

export interface ContentIndex {
  /** The root of the file's content, when it is known and the file is still as it was when it was read. */
  rootOf(path: string, stamp: FileStamp): string | undefined;
  /** The hashes of a content's pieces, 32 bytes each; undefined when nothing here has that content. */
  pieces(root: string): Bytes | undefined;
  /** Files that had this content when they were last looked at; the first few. */
  locate(root: string): readonly Found[];
  /** Within a folder, or all of it for "". */
  search(query: SearchQuery, scope: string): SearchPage;
  readonly status: { readonly files: number; readonly bytes: number; readonly pending: number };
  /** Calls back when something in the shared folder has changed, at most a few times a second. */
  subscribe(onChange: () => void): Disposable;
}
