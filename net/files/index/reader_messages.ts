/** What the index and the Worker that reads its folder say to each other. Answers carry the number of what was asked. */

import type { ContentTree } from "../../../protocol/files/tree_hash.ts";
import type { FolderSettings, SeenFile } from "./folder_reader.ts";

export type ToReader =
  | { readonly type: "open"; readonly settings: FolderSettings; readonly restShare: number }
  | { readonly type: "look"; readonly id: number; readonly paths: readonly string[] }
  /** The files that were told of last. */
  | { readonly type: "taken"; readonly id: number }
  | { readonly type: "read"; readonly id: number; readonly files: readonly SeenFile[] }
  | { readonly type: "watch" };

export type FromReader =
  | { readonly type: "seen"; readonly id: number; readonly files: readonly SeenFile[] }
  | { readonly type: "tree"; readonly id: number; readonly file: SeenFile; readonly tree: ContentTree | undefined }
  | { readonly type: "done"; readonly id: number }
  | { readonly type: "changed"; readonly paths: readonly string[] }
  | { readonly type: "overflowed" }
  | { readonly type: "lost"; readonly reason: string };
