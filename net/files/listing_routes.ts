/**
 * What a peer server says of what it has, in JSON: folders, what is found, where a content is and of which pieces, markdown as
 * a tree, and who this is. The shapes are in `protocol/files/listing.ts`.
 *
 * A guest hears of what it may see alone; all else is not there.
 */

import {
  folderQuerySchema,
  type Found,
  type PeerSelf,
  type Places,
  rootSchema,
  type SearchPage,
  searchQuerySchema,
} from "../../protocol/files/listing.ts";
import type { MarkdownDocument } from "../../protocol/files/markdown_tree.ts";
import { isMarkdown } from "../../protocol/files/media_type.ts";
import { isWithin, leadsTo, parseUrlPath } from "../../protocol/files/safe_path.ts";
import type { FileServerParts } from "./file_server.ts";
import { answerEarly, validatorsOf } from "./content_headers.ts";
import { MAX_MARKDOWN_BYTES, readMarkdown } from "./markdown.ts";
import { readText } from "./markdown_page.ts";
import { badPath, notFound, problem } from "./problem.ts";
import type { Asked } from "./routes.ts";
import type { Opened } from "./shared_root.ts";

/** A content that lies in more places than these is found all the same. */
const MAX_PLACES = 16;

export function serveSelf({ guest, scope }: Asked, { options, index }: FileServerParts): Response {
  const { files, bytes, pending } = index.status;
  const said: PeerSelf = {
    ...options.self,
    capabilities: [...options.self.capabilities],
    upload: options.upload !== undefined && (guest?.mayUpload ?? true),
    scope,
    index: { files, bytes, pending },
  };
  return json(said);
}

export async function serveFolder(asked: Asked, parts: FileServerParts): Promise<Response> {
  const target = parseUrlPath(asked.rest);
  if (!target) return badPath();
  const query = parsed(folderQuerySchema, asked.query);
  if (query instanceof Response) return query;
  const { path } = target;
  // The way to a guest's folder is shown, and is opened as the owner would.
  const scope = leadsTo(asked.scope, path) ? "" : asked.scope;
  const opened = parts.root.open(path, scope);
  if (!opened) return notFound();
  using file = opened.file;
  if (file.state.kind !== "folder") return notFound();
  const page = await parts.folders.page({ path, opened, scope: asked.scope, query });
  if (page === "bad_cursor") return badCursor();
  return page === "busy" ? tooManyReads() : json(page);
}

export function serveSearch(asked: Asked, { index }: FileServerParts): Response {
  const query = parsed(searchQuerySchema, asked.query);
  if (query instanceof Response) return query;
  const page: SearchPage = index.search(query, asked.scope);
  return json(page);
}

export function serveByRoot(asked: Asked, parts: FileServerParts): Response {
  const { success, data: root } = rootSchema.safeParse(asked.rest.slice(1));
  if (!success) return notFound();
  const found = visible(asked, parts, root);
  const [first] = found;
  if (!first) return notFound();
  const places: Places = { root, size: first.size, paths: found.slice(0, MAX_PLACES).map(({ path }) => path) };
  return json(places);
}

/** Only of contents that whoever asks may see. */
export function servePieces(asked: Asked, parts: FileServerParts): Response {
  const { success, data: root } = rootSchema.safeParse(asked.rest.slice(1));
  const pieces = success && visible(asked, parts, root).length > 0 ? parts.index.pieces(root) : undefined;
  if (!pieces) return notFound();
  return new Response(asked.request.method === "HEAD" ? null : pieces, {
    headers: {
      "content-type": "application/octet-stream",
      "content-length": String(pieces.length),
      // What is named by its content does not change.
      "cache-control": "private, max-age=31536000, immutable",
      "x-content-type-options": "nosniff",
    },
  });
}

export function serveMarkdownTree(asked: Asked, parts: FileServerParts): Response {
  const target = parseUrlPath(asked.rest);
  if (!target) return badPath();
  const opened = isMarkdown(target.path) ? parts.root.open(target.path, asked.scope) : undefined;
  if (!opened) return notFound();
  using file = opened.file;
  if (file.state.kind !== "file" || target.isFolder) return notFound();
  if (file.state.size > MAX_MARKDOWN_BYTES) {
    return problem("too_large", `Cannot show it as a page: the file must be at most ${MAX_MARKDOWN_BYTES} bytes long`);
  }
  return sendTree(asked, parts, opened, target.path);
}

export function serveEvents({ guest }: Asked, { events }: FileServerParts): Response {
  return events.listen(guest?.peerId);
}

function sendTree({ request }: Asked, parts: FileServerParts, opened: Opened, path: string): Response {
  const { etag } = validatorsOf(opened, parts);
  const validators = { etag: etag?.replace(/"$/, '-tree"') };
  const headers = {
    "cache-control": "private, no-cache",
    ...validators.etag !== undefined && { etag: validators.etag },
  };
  const early = answerEarly(request, validators, headers, parts.options.clock.wallNow());
  if (early) return early;
  const text = readText(opened.file);
  if (text === undefined) return problem("changing", "Cannot show the file: it was written to meanwhile");
  const document: MarkdownDocument = readMarkdown(text, path);
  return json(document, headers);
}

function visible({ scope }: Asked, { index }: FileServerParts, root: string): readonly Found[] {
  return index.locate(root).filter(({ path }) => isWithin(scope, path));
}

/** As zod's are. */
interface Schema<T> {
  safeParse(value: unknown):
    | { readonly success: true; readonly data: T }
    | { readonly success: false; readonly error: { readonly issues: readonly { readonly path: PropertyKey[] }[] } };
}

/** What the query says, or what is wrong with it. */
function parsed<T>(schema: Schema<T>, query: URLSearchParams): T | Response {
  const result = schema.safeParse(Object.fromEntries(query));
  if (result.success) return result.data;
  const places = result.error.issues.slice(0, 8).map(({ path }) => path.join(".")).join(", ");
  return problem("bad_request", `Cannot use the query: its parts must be as the API has them, see ${places}`);
}

function badCursor(): Response {
  return problem("bad_request", "Cannot go on from there: after must be what an earlier page had as next");
}

function tooManyReads(): Response {
  return problem("busy", "Cannot list the folder: too many are being read", { retryAfterMs: 1000 });
}

function json(value: unknown, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(JSON.stringify(value), {
    headers: {
      "content-type": "application/json",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...headers,
    },
  });
}
