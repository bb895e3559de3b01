/**
 * A file of at most one piece, fetched whole with one request and checked before any of it is written. It gets its name when
 * it is complete. Not synced: a folder may hold thousands of them, and one that a power cut has spoilt is found by its hash.
 */

import { Backoff } from "../../protocol/backoff.ts";
import { delay } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { EMPTY_ROOT, hashPiece } from "../../protocol/files/tree_hash.ts";
import type { Bytes } from "../../protocol/primitives.ts";
import { writeAll } from "../../protocol/stream.ts";
import type { ContentSource, DownloadTools } from "./download.ts";
import { diskError, giveName, privatePartPath } from "./part_file.ts";
import { isBusy, patiently } from "./patience.ts";
import { field, HttpRefusal, readWhole, refusalOf } from "./peer_http.ts";
import { downloadTarget, LieError, type RemoteContent, type RemoteFiles } from "./remote_files.ts";

/** Of one source. */
const MAX_TRIES = 4;

export interface SmallWish {
  readonly path: string;
  readonly out: string;
  readonly overwrite?: boolean;
  readonly content: RemoteContent;
}

/** Without a source the others are asked. Rejects with `changed` when it is another file now, or as the source did. */
export async function fetchSmall(
  source: RemoteFiles | undefined,
  others: readonly RemoteFiles[],
  wish: SmallWish,
  tools: DownloadTools,
): Promise<void> {
  const bytes = await bytesOf(source, others, wish, tools);
  tools.signal.throwIfAborted();
  const part = privatePartPath(wish.out, tools.random);
  const { modifiedMs } = wish.content;
  using file = await Deno.open(part, { write: true, createNew: true }).catch((error) => {
    throw diskError(error, wish.out);
  });
  try {
    await writeAll(file, bytes);
    if (modifiedMs !== undefined) await file.utime(new Date(modifiedMs), new Date(modifiedMs));
    await giveName(part, wish.out, wish);
  } catch (error) {
    await Deno.remove(part).catch(() => {});
    throw diskError(error, wish.out);
  }
}

async function bytesOf(
  source: RemoteFiles | undefined,
  others: readonly RemoteFiles[],
  { path, content }: SmallWish,
  tools: DownloadTools,
): Promise<Bytes> {
  let failure: unknown;
  try {
    if (source) return await ask({ files: source, path, etag: content.etag }, content, tools);
  } catch (error) {
    failure = error;
  }
  tools.signal.throwIfAborted();
  for (const files of content.root === undefined ? [] : others) {
    try {
      const places = await files.locate(content.root!, tools.signal);
      for (const at of places?.paths ?? []) {
        return await ask({ files, path: at, etag: `"${content.root}"` }, content, tools);
      }
    } catch {
      tools.signal.throwIfAborted(); // the next one is asked; what the first one said is told
    }
  }
  throw failure ?? new CulvertError("no_source", `Cannot fetch ${path}: nobody is left to ask`);
}

/** Asks one source, again where that may help. */
async function ask(source: ContentSource, content: RemoteContent, tools: DownloadTools): Promise<Bytes> {
  const { clock, random, signal, onLie, onBytes } = tools;
  const { peerId } = source.files;
  const backoff = new Backoff(random, { baseMs: 250, maxMs: 5000 });
  for (let tries = 1;; tries++) {
    try {
      const bytes = await patiently(() => askOnce(source, content, tools), tools);
      onBytes?.(peerId, bytes.length);
      return bytes;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof LieError) onLie?.(peerId);
      if (tries === MAX_TRIES || isFinal(error)) throw error;
      await delay(clock, backoff.nextMs(), signal);
    }
  }
}

async function askOnce(
  { files, path, etag }: ContentSource,
  content: RemoteContent,
  tools: DownloadTools,
): Promise<Bytes> {
  const { size, root } = content;
  const request = { method: "GET", target: downloadTarget(path), fields: [field("If-Match", etag)] } as const;
  using answer = await files.http.request(request, tools.signal);
  const { status } = answer.head;
  if (status === 412) {
    throw new CulvertError("changed", `Cannot fetch ${path}: it was changed at its source meanwhile`);
  }
  if (status !== 200) throw await refusalOf(answer, `read ${path}`);
  const bytes = await readWhole(answer, size);
  if (bytes.length !== size) throw new CulvertError("cut_short", `Cannot read ${path}: it ended too soon`);
  if (root !== undefined && rootOf(bytes, tools) !== root) throw new LieError("a file that is not what it says");
  return bytes;
}

function rootOf(bytes: Bytes, { sha256 }: Pick<DownloadTools, "sha256">): string {
  return bytes.length === 0 ? EMPTY_ROOT : hashPiece(bytes, bytes.length, sha256).toHex();
}

/** Whether asking the same again would be of no use. */
function isFinal(error: unknown): boolean {
  if (error instanceof HttpRefusal) return error.status < 500 || isBusy(error);
  return error instanceof LieError || (error instanceof CulvertError && error.code === "changed");
}
