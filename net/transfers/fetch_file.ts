/**
 * One file of a peer to a place here: asks what it is, takes up what there is of it, and fetches the rest from whoever has
 * the same content.
 *
 *   describe ─▶ hashes of its pieces ─▶ PartFile: what is there, what is doubtful ─▶ Download ─▶ under its name
 *
 * When the file is changed at its source meanwhile it is begun anew as what it is now; pieces that are the same are kept.
 * A file of one piece is fetched whole, without a journal.
 */

import { setImmediate } from "node:timers/promises";
import { Backoff } from "../../protocol/backoff.ts";
import { delay } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { isPiece, PAIR_BYTES, PIECE_BYTES, pieceLength, TreeHasher } from "../../protocol/files/tree_hash.ts";
import type { Bytes, Primitives } from "../../protocol/primitives.ts";
import { type ContentSource, Download, type DownloadTools } from "./download.ts";
import { fetchSmall } from "./fetch_small.ts";
import { isThere, PartFile } from "./part_file.ts";
import { isBusy, patiently } from "./patience.ts";
import { LieError, type RemoteContent, type RemoteFiles } from "./remote_files.ts";

/** A file that is changed again and again is given up. */
const MAX_RESTARTS = 5;
/** How often somebody who may have the same content is asked. */
const MAX_FINDS = 3;
/** 2 TiB. The hashes of its pieces are 64 MiB then, which are in memory, and a peer can claim any size. */
const MAX_CONTENT_BYTES = 2 ** 41;
/** Local pieces that are read before others have their turn. */
const PIECES_AT_A_TIME = 4;

export interface FileWish {
  /** At the peer. */
  readonly path: string;
  /** Here. */
  readonly out: string;
  readonly overwrite?: boolean;
  /** What it must be, where that is known, such as from a ticket. */
  readonly root?: string | undefined;
  readonly size?: number | undefined;
  /** What the peer has said of it a moment ago. */
  readonly listed?: RemoteContent | undefined;
}

export interface FetchTools extends DownloadTools {
  /** Ids of peers that have lied, in this fetch or an earlier one: no content is taken from them. Those who do are added. */
  readonly distrusted?: Set<string>;
  /** A file is being fetched, of which so much is there already. */
  onStart?(download: FetchStart): void;
  /** It was changed at its source and is begun anew. */
  onRestart?(path: string): void;
}

export interface FetchStart {
  readonly path: string;
  readonly size: number;
  /** Of an earlier time. */
  readonly keptBytes: number;
  /** Whether its pieces are checked against a tree hash. */
  readonly isVerified: boolean;
  /** Follows it; undefined for a small file. */
  readonly download: Download | undefined;
}

export interface FetchedFile {
  readonly out: string;
  readonly size: number;
  readonly root: string | undefined;
  /** It was here and is the same. */
  readonly wasHere: boolean;
}

/**
 * `others` are peers that may have the same content; they are asked while it runs. Where it is known which content is wanted,
 * by a ticket or by what there is of it here, any of them will do when the source cannot be reached.
 */
export async function fetchFile(
  source: RemoteFiles,
  others: readonly RemoteFiles[],
  wish: FileWish,
  tools: FetchTools,
): Promise<FetchedFile> {
  const { distrusted = new Set<string>(), onLie } = tools;
  const noting = {
    ...tools,
    distrusted,
    onLie(peerId: string): void {
      distrusted.add(peerId);
      onLie?.(peerId);
    },
  };
  for (let restarts = 0;; restarts++) {
    const { path, listed } = wish;
    const from = listed && restarts === 0
      ? { source, others, path, content: listed }
      : await beginning(source, others, wish, tools);
    const { content } = from;
    if (wish.root !== undefined && !isPromised(content, { root: wish.root, size: wish.size })) {
      throw new CulvertError("changed", `Cannot fetch ${wish.path}: it is not the file any more that was promised`);
    }
    try {
      return await fetchContent(from, {
        ...wish,
        path: from.path,
        content: { ...content, root: content.root ?? wish.root },
      }, noting);
    } catch (error) {
      const isChanged = error instanceof CulvertError && error.code === "changed";
      if (!isChanged || wish.root !== undefined || restarts >= MAX_RESTARTS) throw error;
      tools.onRestart?.(wish.path);
    }
  }
}

interface NotingTools extends FetchTools {
  readonly distrusted: Set<string>;
}

interface FullWish extends FileWish {
  readonly content: RemoteContent;
}

/** Whom to ask first, for what, and whom else. */
interface Beginning {
  readonly source: RemoteFiles;
  readonly others: readonly RemoteFiles[];
  readonly path: string;
  readonly content: RemoteContent;
}

async function beginning(
  source: RemoteFiles,
  others: readonly RemoteFiles[],
  { path, out, root: promised, size }: FileWish,
  tools: FetchTools,
): Promise<Beginning> {
  try {
    return { source, others, path, content: await describeSettled(source, path, tools) };
  } catch (error) {
    tools.signal.throwIfAborted();
    const root = promised ?? await PartFile.rootAt(out);
    for (const other of root === undefined ? [] : others) {
      const found = await find(other, { root: root!, size }, tools, tools.signal).catch(() => undefined);
      if (found) return { ...found, source: other, others: others.filter((each) => each !== other) };
    }
    throw error;
  }
}

async function fetchContent(
  { source, others }: Beginning,
  wish: FullWish,
  tools: NotingTools,
): Promise<FetchedFile> {
  const { path, out, content, overwrite = false } = wish;
  const { size, root, etag, modifiedMs } = content;
  const isTrusted = ({ peerId }: RemoteFiles) => !tools.distrusted.has(peerId);
  const trusted = [source, ...others].filter(isTrusted);
  if (size > MAX_CONTENT_BYTES) {
    throw new CulvertError("too_large", `Cannot fetch ${path}: it must be at most ${MAX_CONTENT_BYTES} bytes`);
  }
  const fetched = { out, size, root, wasHere: false };
  // What is not checked is taken from the source alone.
  if (trusted.length === 0 || (root === undefined && !isTrusted(source))) throw new LieError("wrong bytes before");
  if (!overwrite && root !== undefined && await isSameFile(out, { size, root }, tools)) {
    return { ...fetched, wasHere: true };
  }
  if (size <= PIECE_BYTES) {
    if (!overwrite && await isThere(out)) throw exists(out);
    tools.onStart?.({ path, size, keptBytes: 0, isVerified: root !== undefined, download: undefined });
    await fetchSmall(isTrusted(source) ? source : undefined, others.filter(isTrusted), wish, tools);
    return fetched;
  }
  const pieces = root === undefined ? undefined : await piecesOf(trusted, { root, size }, tools);
  await using part = await PartFile.open(out, { content: root ?? etag, size }, { overwrite });
  if (pieces) await checkDoubtful(part, { size, pieces }, tools);
  const download = new Download({ size, pieces }, part, tools);
  tools.onStart?.({ path, size, keptBytes: download.doneBytes, isVerified: pieces !== undefined, download });
  if (isTrusted(source)) download.addSource({ files: source, path, etag });
  const stop = new AbortController();
  const asked = root === undefined ? [] : others.filter(isTrusted);
  const searching = asked.map((other) => download.expect(find(other, { root: root!, size }, tools, stop.signal)));
  try {
    await download.run();
  } finally {
    stop.abort(new CulvertError("over", "The download is over"));
    await Promise.all(searching);
  }
  await part.finish(modifiedMs);
  return fetched;
}

/** Waits a little for a file that is being written, and for a peer that is busy. */
async function describeSettled(source: RemoteFiles, path: string, tools: FetchTools): Promise<RemoteContent> {
  const content = await patiently(
    () => source.describe(path, tools.signal),
    tools,
    (error) => isBusy(error) || (error instanceof CulvertError && error.code === "unsettled"),
  );
  if (content) return content;
  throw new CulvertError("not_found", `Cannot fetch ${path}: ${source.label} has no such file`);
}

/** The checked hashes of a content, by the first who can tell them. */
async function piecesOf(
  sources: readonly RemoteFiles[],
  content: { readonly root: string; readonly size: number },
  tools: FetchTools,
): Promise<Bytes> {
  const { sha256, signal, onLie } = tools;
  let failure: unknown;
  for (const source of sources) {
    try {
      return await patiently(() => source.pieces(content, sha256, signal), tools);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof LieError) onLie?.(source.peerId);
      failure ??= error;
    }
  }
  throw failure;
}

/** Reads again what may be there of it. */
async function checkDoubtful(
  part: PartFile,
  content: { readonly size: number; readonly pieces: Bytes },
  { sha256, signal }: FetchTools,
): Promise<void> {
  const { doubtful } = part;
  const buffer = new Uint8Array(PIECE_BYTES);
  let read = 0;
  for (let piece = doubtful.firstHad(0); piece < doubtful.pieces; piece = doubtful.firstHad(piece + 1)) {
    const bytes = buffer.subarray(0, pieceLength(content.size, piece));
    if (part.read(piece, bytes) && isPiece(bytes, piece, content, sha256)) part.confirm(piece);
    if (++read % PIECES_AT_A_TIME > 0) continue;
    await setImmediate();
    signal.throwIfAborted();
  }
}

interface SoughtContent {
  readonly root: string;
  /** Whatever it is, unless given. */
  readonly size?: number | undefined;
}

interface FoundContent extends ContentSource {
  readonly content: RemoteContent;
}

/** Where a peer has that content; undefined when it has not. */
async function find(
  files: RemoteFiles,
  content: SoughtContent,
  { clock, random }: FetchTools,
  signal: AbortSignal,
): Promise<FoundContent | undefined> {
  const backoff = new Backoff(random, { baseMs: 500, maxMs: 5000 });
  for (let tries = 1;; tries++) {
    try {
      return await findOnce(files, content, signal);
    } catch (error) {
      if (signal.aborted || tries === MAX_FINDS) throw error;
    }
    await delay(clock, backoff.nextMs(), signal);
  }
}

async function findOnce(
  files: RemoteFiles,
  sought: SoughtContent,
  signal: AbortSignal,
): Promise<FoundContent | undefined> {
  for (const path of (await files.locate(sought.root, signal))?.paths ?? []) {
    const content = await files.describe(path, signal);
    if (content?.root === undefined || !isPromised(content, sought)) continue;
    return { files, path, etag: content.etag, content };
  }
  return undefined;
}

/**
 * Whether it may be what is wanted. Two hashes of a tree have the root of what is below them as well: where nobody has said
 * how long it is, nothing as short as they are is taken.
 */
function isPromised({ root, size }: Pick<RemoteContent, "root" | "size">, sought: SoughtContent): boolean {
  if (root !== undefined && root !== sought.root) return false;
  return sought.size === undefined ? size !== PAIR_BYTES : size === sought.size;
}

/** Whether a file here has that content. */
export async function isSameFile(
  path: string,
  { size, root }: { readonly size: number; readonly root: string },
  { sha256, signal }: { readonly sha256: Primitives["sha256"]; readonly signal: AbortSignal },
): Promise<boolean> {
  let file: Deno.FsFile;
  try {
    const found = await Deno.stat(path);
    if (!found.isFile || found.size !== size) return false;
    file = await Deno.open(path, { read: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
  using _file = file;
  const hasher = new TreeHasher(sha256);
  const buffer = new Uint8Array(PIECE_BYTES);
  for (let count = await file.read(buffer); count !== null; count = await file.read(buffer)) {
    signal.throwIfAborted();
    hasher.update(buffer.subarray(0, count));
  }
  return hasher.finish().root === root;
}

function exists(path: string): CulvertError {
  return new CulvertError("exists", `Cannot fetch to ${path}: something is there already, and is not overwritten`);
}
