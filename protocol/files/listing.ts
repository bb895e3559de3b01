/**
 * What a peer server's API says in JSON: folders, files and what is known of their content. `docs/peer-server.md` has the whole.
 *
 *   GET /api/files[/folder]   a page of a folder         GET /api/search?q=    a page of what is found
 *   GET /api/self             the peer itself            GET /api/pieces/ROOT  32 bytes for each piece, `tree_hash.ts`
 *
 * A path is relative to the shared folder, its parts joined by `/`, none of them empty, `.` or `..`; the root is "". A root is
 * the 64 hexadecimal digits of a content's tree hash.
 */

import { z } from "zod";
import { countSchema, nameSchema, peerIdSchema, timeSchema, versionSchema } from "../fields.ts";
import { peerLabelSchema } from "../peers/card.ts";

/** Bytes of the longest path that is served, as UTF-8; Linux has no longer one. */
export const MAX_PATH_BYTES = 4096;
export const MAX_NAME_BYTES = 255;
/** Entries of one page, at most and unless asked otherwise. */
export const MAX_PAGE = 1000;
export const DEFAULT_PAGE = 200;

export const rootSchema = z.string().regex(/^[0-9a-f]{64}$/, "64 hexadecimal digits");
/** Says how far a list has come; only who made it reads it. */
export const cursorSchema = z.string().min(1).max(2048).regex(/^[A-Za-z0-9_-]+$/);

const pathSchema = z.string().max(MAX_PATH_BYTES);

export const entrySchema = z.object({
  name: z.string().min(1).max(MAX_NAME_BYTES),
  kind: z.enum(["file", "folder"]),
  /** 0 for folders. */
  size: countSchema,
  modifiedMs: timeSchema,
  /** The media type, of files. */
  type: z.string().max(128).optional(),
  /** Of files whose content is known. */
  root: rootSchema.optional(),
});
export type Entry = z.infer<typeof entrySchema>;

export const sortSchema = z.enum(["name", "size", "modified"]);
export const orderSchema = z.enum(["up", "down"]);

export const folderQuerySchema = z.object({
  /** Folders come first whatever it says. */
  sort: sortSchema.default("name"),
  order: orderSchema.default("up"),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(DEFAULT_PAGE),
  after: cursorSchema.optional(),
});
export type FolderQuery = z.infer<typeof folderQuerySchema>;

export const folderPageSchema = z.object({
  path: pathSchema,
  entries: z.array(entrySchema).max(MAX_PAGE),
  /** How many there are in all. */
  total: countSchema,
  /** There is more after this. */
  next: cursorSchema.optional(),
});
export type FolderPage = z.infer<typeof folderPageSchema>;

export const searchQuerySchema = z.object({
  q: z.string().min(1).max(256),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(DEFAULT_PAGE),
  after: cursorSchema.optional(),
});
export type SearchQuery = z.infer<typeof searchQuerySchema>;

/** A file by its path from the shared folder. */
export const foundSchema = entrySchema.omit({ name: true }).extend({ path: pathSchema });
export type Found = z.infer<typeof foundSchema>;

export const searchPageSchema = z.object({
  found: z.array(foundSchema).max(MAX_PAGE),
  next: cursorSchema.optional(),
  /** Files that are not in the index yet: there may be more to find soon. */
  pending: countSchema,
});
export type SearchPage = z.infer<typeof searchPageSchema>;

/** Where a content is, as `GET /api/by-root/ROOT` answers. */
export const placesSchema = z.object({
  root: rootSchema,
  size: countSchema,
  paths: z.array(pathSchema).max(16),
});
export type Places = z.infer<typeof placesSchema>;

/** The peer itself, as `GET /api/self` answers. */
export const selfSchema = z.object({
  peerId: peerIdSchema,
  label: peerLabelSchema,
  version: versionSchema,
  capabilities: z.array(nameSchema).max(16),
  /** Whether whoever asks may put files here. */
  upload: z.boolean(),
  /** What whoever asks may see of it: a folder or a file; "" is all. */
  scope: pathSchema,
  index: z.object({ files: countSchema, bytes: countSchema, pending: countSchema }),
});
export type PeerSelf = z.infer<typeof selfSchema>;
