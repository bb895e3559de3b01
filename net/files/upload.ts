/**
 * New files: `PUT /upload/PATH`.
 *
 *   leave? ─▶ what is there now? ─▶ folders ─▶ a file of ours, written and flushed ─▶ linked to its name: there at once and whole
 *
 * What is there is not replaced unless `If-Match` names it. A file that nobody finished is removed; what a crash leaves lies in
 * a folder of ours that nobody is shown, for a day.
 */

import { mediaTypeOf } from "../../protocol/files/media_type.ts";
import type { Entry } from "../../protocol/files/listing.ts";
import { CulvertError } from "../../protocol/errors.ts";
import {
  folderOf,
  isHidden,
  isWithin,
  joinPath,
  nameOf,
  parseUrlPath,
  PRIVATE_PREFIX,
} from "../../protocol/files/safe_path.ts";
import { answerEarly, validatorsOf } from "./content_headers.ts";
import type { Transfer } from "./file_limits.ts";
import type { FileServerParts } from "./file_server.ts";
import { badPath, notFound, problem } from "./problem.ts";
import type { Asked } from "./routes.ts";
import { codeOf, type Opened, type SharedRoot } from "./shared_root.ts";

export interface UploadOptions {
  /** Of one file. */
  readonly maxBytes: number;
}

const DRAFTS = `${PRIVATE_PREFIX}uploads`;
const DRAFT_LIFE_MS = 24 * 3600 * 1000;
const MAX_DEPTH = 32;
/** The system's names for having no room. */
const FULL: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

interface Target {
  readonly path: string;
  /** Whether something is to be replaced. */
  readonly replaces: boolean;
}

export async function takeUpload(asked: Asked, parts: FileServerParts): Promise<Response> {
  const { guest, scope, request, rest } = asked;
  const { upload } = parts.options;
  if (!upload || guest && !guest.mayUpload) {
    return problem("no_upload", "Cannot take the file: this server takes none from you");
  }
  const place = parseUrlPath(rest);
  if (!place || place.isFolder || isHidden(place.path, parts.root.showsHidden)) return badPath();
  if (!isWithin(scope, place.path) || place.path.split("/").length > MAX_DEPTH) return notFound();
  if (Number(request.headers.get("content-length") ?? 0) > upload.maxBytes) return tooLarge(upload);
  const target = targetOf(asked, parts, place.path);
  if (target instanceof Response) return target;
  const stalled = new AbortController();
  using transfer = parts.limits.begin(guest, () => stalled.abort());
  if (!transfer) return problem("busy", "Cannot take the file: too many are under way", { retryAfterMs: 1000 });
  try {
    return await receive(asked, parts, { ...target, transfer, signal: stalled.signal, maxBytes: upload.maxBytes });
  } catch (error) {
    return failed(error, upload);
  }
}

interface Reception extends Target {
  readonly transfer: Transfer;
  readonly signal: AbortSignal;
  readonly maxBytes: number;
}

async function receive(asked: Asked, parts: FileServerParts, reception: Reception): Promise<Response> {
  const { path, replaces, transfer, signal, maxBytes } = reception;
  const folder = makeFolders(folderOf(path), asked.scope, parts.root);
  if (!folder) return inTheWay();
  using _folder = folder.file;
  await using draft = await Draft.make(parts);
  const { body } = asked.request;
  if (body) {
    await draft.write(body, {
      maxBytes,
      signal,
      onBytes(bytes) {
        transfer.touch();
        parts.count("receivedBytes", bytes);
      },
    });
  }
  if (replaces) {
    const now = targetOf(asked, parts, path);
    if (now instanceof Response) return now;
  }
  const isThere = await draft.become(`${parts.root.pathOf(folder)}/${nameOf(path)}`, replaces);
  return isThere ? done(reception, draft.bytes, parts) : exists();
}

function targetOf({ request, scope }: Asked, parts: FileServerParts, path: string): Target | Response {
  const opened = parts.root.open(path, scope);
  using _file = opened?.file;
  const validators = opened && validatorsOf(opened, parts);
  if (opened?.file.state.kind === "folder") return inTheWay();
  const refused = answerEarly(request, validators, {}, parts.options.clock.wallNow());
  if (refused) return refused;
  if (opened && !request.headers.has("if-match")) return exists();
  return { path, replaces: opened !== undefined };
}

/** The folder, open, made with those above it; undefined when something else is in the way. */
function makeFolders(path: string, scope: string, root: SharedRoot): Opened | undefined {
  const known = openFolder(path, scope, root);
  if (known || path === "") return known;
  const above = makeFolders(folderOf(path), scope, root);
  if (!above) return undefined;
  using _above = above.file;
  try {
    Deno.mkdirSync(`${root.pathOf(above)}/${nameOf(path)}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  return openFolder(path, scope, root);
}

/** Those above what a guest may see are there all the same. */
function openFolder(path: string, scope: string, root: SharedRoot): Opened | undefined {
  const opened = root.open(path, isWithin(scope, path) ? scope : "");
  if (opened?.file.state.kind === "folder") return opened;
  opened?.file[Symbol.dispose]();
  return undefined;
}

interface DraftLimits {
  readonly maxBytes: number;
  readonly signal: AbortSignal;
  readonly onBytes: (bytes: number) => void;
}

/** A file that is on its way, under a name of ours. Disposing it removes what has not become anything. */
class Draft implements AsyncDisposable {
  readonly #path: string;
  readonly #file: Deno.FsFile;
  bytes = 0;

  private constructor(path: string, file: Deno.FsFile) {
    this.#path = path;
    this.#file = file;
  }

  static async make({ root, options }: FileServerParts): Promise<Draft> {
    const folder = root.fullPath(DRAFTS);
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    await removeOldDrafts(folder, options.clock.wallNow());
    const path = joinPath(folder, options.random.fill(new Uint8Array(16)).toHex());
    return new Draft(path, await Deno.open(path, { write: true, createNew: true }));
  }

  async write(body: ReadableStream<Uint8Array>, { maxBytes, signal, onBytes }: DraftLimits): Promise<void> {
    const reader = body.getReader();
    const onAbort = () => void reader.cancel().catch(() => {});
    signal.addEventListener("abort", onAbort, { once: true });
    for (;;) {
      const { value } = await reader.read().catch(() => ({ value: "cut short" as const }));
      if (value === "cut short" || signal.aborted) throw cutShort();
      if (!value) break;
      this.bytes += value.length;
      if (this.bytes > maxBytes) {
        onAbort();
        throw new CulvertError("too_large", `Cannot take the file: it must be at most ${maxBytes} bytes long`);
      }
      onBytes(value.length);
      for (let at = 0; at < value.length;) at += await this.#file.write(value.subarray(at));
    }
    await this.#file.sync();
  }

  /** False when there is something of that name. */
  async become(place: string, replaces: boolean): Promise<boolean> {
    try {
      await this.#rename(this.#path, place, replaces);
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) return false;
      if (codeOf(error) !== "EXDEV") throw error;
    }
    // The folder lies on a file system of its own.
    const beside = `${place.slice(0, place.lastIndexOf("/") + 1)}${PRIVATE_PREFIX}${nameOf(this.#path)}`;
    try {
      await Deno.copyFile(this.#path, beside);
      await this.#rename(beside, place, replaces);
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) return false;
      throw error;
    } finally {
      await removeQuietly(beside);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#file.close();
    await removeQuietly(this.#path);
  }

  /** A link, unlike a rename, replaces nothing. */
  async #rename(from: string, to: string, replaces: boolean): Promise<void> {
    if (replaces) await Deno.rename(from, to);
    else await Deno.link(from, to);
  }
}

async function removeOldDrafts(folder: string, nowMs: number): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    const path = joinPath(folder, name);
    const stat = await Deno.lstat(path).catch(() => undefined);
    if (stat?.mtime && stat.mtime.getTime() < nowMs - DRAFT_LIFE_MS) await removeQuietly(path);
  }
}

async function removeQuietly(path: string): Promise<void> {
  await Deno.remove(path).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

function done({ path, replaces }: Target, size: number, { options }: FileServerParts): Response {
  const name = nameOf(path);
  const entry: Entry = { name, kind: "file", size, modifiedMs: options.clock.wallNow(), type: mediaTypeOf(name) };
  return Response.json(entry, { status: replaces ? 200 : 201, headers: { "cache-control": "no-store" } });
}

function cutShort(): CulvertError {
  return new CulvertError("cut_short", "Cannot take the file: its end has to come, and in time");
}

function failed(error: unknown, upload: UploadOptions): Response {
  if (error instanceof CulvertError && error.code === "cut_short") return problem("cut_short", error.message);
  if (error instanceof CulvertError && error.code === "too_large") return tooLarge(upload);
  if (FULL.has(codeOf(error))) return problem("storage_full", "Cannot keep the file: there is no room for it");
  if (error instanceof Deno.errors.PermissionDenied || codeOf(error) === "EROFS") {
    return problem("no_upload", "Cannot keep the file: this folder may not be written to");
  }
  throw error;
}

function tooLarge({ maxBytes }: UploadOptions): Response {
  return problem("too_large", `Cannot take the file: it must be at most ${maxBytes} bytes long`);
}

function exists(): Response {
  return problem("exists", "Cannot take the file: there is one of this name; name it by If-Match to replace it");
}

function inTheWay(): Response {
  return problem("in_the_way", "Cannot put it there: what is there must be a folder");
}
