/**
 * What a peer shares, asked of its file server (`docs/peer-server.md`): folders, files, searches, and where a content is.
 */

import {
  type FolderPage,
  folderPageSchema,
  type FolderQuery,
  type PeerSelf,
  type Places,
  placesSchema,
  type SearchPage,
  searchPageSchema,
  type SearchQuery,
  selfSchema,
} from "../../protocol/files/listing.ts";
import { arePieces, EMPTY_ROOT, HASH_BYTES, pieceCount } from "../../protocol/files/tree_hash.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { Bytes, Primitives } from "../../protocol/primitives.ts";
import { fieldOf } from "./http_stream.ts";
import { HttpRefusal, PeerHttp, type PeerHttpOptions, refusalOf } from "./peer_http.ts";

/** A content as one peer calls it. */
export interface RemoteContent {
  readonly size: number;
  /** Strong, with its quotes. */
  readonly etag: string;
  /** What everybody calls it, where the peer has it in its index. */
  readonly root: string | undefined;
  readonly modifiedMs: number | undefined;
}

/** Whoever sends what is provably not what it says it is. */
export class LieError extends CulvertError {
  override readonly name = "LieError";

  constructor(what: string) {
    super("lied", `Cannot trust the peer: it has sent ${what}`);
  }
}

const ROOT_TAG = /^"([0-9a-f]{64})"$/;
const STRONG_TAG = /^"[\x21\x23-\x7e]{1,256}"$/;

export interface RemoteFilesOptions extends PeerHttpOptions {
  readonly peerId: string;
  /** What people know it by. */
  readonly label?: string;
}

export class RemoteFiles implements Disposable {
  readonly peerId: string;
  readonly label: string;
  readonly http: PeerHttp;

  constructor(options: RemoteFilesOptions) {
    this.peerId = options.peerId;
    this.label = options.label ?? options.peerId.slice(0, 8);
    this.http = new PeerHttp(options);
  }

  self(signal?: AbortSignal): Promise<PeerSelf> {
    return this.http.json({ target: "/api/self", schema: selfSchema, deed: "see who it is" }, signal);
  }

  /**
   * Rejects with an HttpRefusal, its status 404, when there is no such folder; with `bad_answer` for a page that leads nowhere:
   * whoever follows it would never come to an end.
   */
  async folder(path: string, query?: Partial<FolderQuery>, signal?: AbortSignal): Promise<FolderPage> {
    const at = path === "" ? "/api/files" : `/api/files/${pathTarget(path)}`;
    const question = { target: at + queryOf(query ?? {}), schema: folderPageSchema, deed: `read ${path || "/"}` };
    const page = await this.http.json(question, signal);
    if (page.next === undefined || (page.entries.length > 0 && page.next !== query?.after)) return page;
    throw new CulvertError("bad_answer", `Cannot read ${path || "/"}: the peer's list of it has no end`);
  }

  search(query: Partial<SearchQuery> & Pick<SearchQuery, "q">, signal?: AbortSignal): Promise<SearchPage> {
    const question = { target: `/api/search${queryOf(query)}`, schema: searchPageSchema, deed: "search" };
    return this.http.json(question, signal);
  }

  /** Where the content is there; undefined when it is not. */
  async locate(root: string, signal?: AbortSignal): Promise<Places | undefined> {
    try {
      const question = { target: `/api/by-root/${root}`, schema: placesSchema, deed: "find the content" };
      const places = await this.http.json(question, signal);
      return places.root === root && places.paths.length > 0 ? places : undefined;
    } catch (error) {
      if (error instanceof HttpRefusal && error.status === 404) return undefined;
      throw error;
    }
  }

  /** The file at that path; undefined when there is no file. Rejects with `unsettled` while it is being written. */
  async describe(path: string, signal?: AbortSignal): Promise<RemoteContent | undefined> {
    using answer = await this.http.request({ method: "HEAD", target: downloadTarget(path) }, signal);
    const { head } = answer;
    // A folder leads to its page.
    if (head.status === 404 || head.status >= 300 && head.status < 400) return undefined;
    if (head.status !== 200) throw await refusalOf(answer, `read ${path}`);
    const [length, etag] = [fieldOf(head, "content-length"), fieldOf(head, "etag")];
    if (length === undefined || !/^\d{1,15}$/.test(length)) {
      throw new CulvertError("bad_answer", `Cannot read ${path}: the peer does not say how long it is`);
    }
    if (etag === undefined || !STRONG_TAG.test(etag)) {
      throw new CulvertError("unsettled", `Cannot read ${path}: it is being written at the moment; try again soon`);
    }
    const modifiedMs = Date.parse(fieldOf(head, "last-modified") ?? "");
    return {
      size: Number(length),
      etag,
      root: ROOT_TAG.exec(etag)?.[1],
      modifiedMs: Number.isNaN(modifiedMs) ? undefined : modifiedMs,
    };
  }

  /** The hashes of a content's pieces, checked against its root. Rejects with a LieError when they do not belong to it. */
  async pieces(
    content: { readonly root: string; readonly size: number },
    sha256: Primitives["sha256"],
    signal?: AbortSignal,
  ): Promise<Bytes> {
    const own = ownPieces(content);
    const expectedBytes = pieceCount(content.size) * HASH_BYTES;
    const question = { target: `/api/pieces/${content.root}`, deed: "read the hashes of the pieces", expectedBytes };
    const pieces = own ?? await this.http.bytes(question, signal);
    if (arePieces(pieces, content, sha256)) return pieces;
    throw new LieError("hashes that are not those of the file");
  }

  [Symbol.dispose](): void {
    this.http.close();
  }
}

/** Of a content with no more than one piece its root says everything. */
function ownPieces({ root, size }: { readonly root: string; readonly size: number }): Bytes | undefined {
  if (root === EMPTY_ROOT || size === 0) return new Uint8Array(0);
  return pieceCount(size) === 1 ? Uint8Array.fromHex(root) : undefined;
}

export function downloadTarget(path: string): string {
  return `/download/${pathTarget(path)}`;
}

/** A path as it stands in a URL. */
export function pathTarget(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

function queryOf(query: Readonly<Record<string, string | number | undefined>>): string {
  const said = Object.entries(query).filter(([, value]) => value !== undefined);
  const params = new URLSearchParams(said.map(([name, value]) => [name, String(value)]));
  return said.length === 0 ? "" : `?${params}`;
}
