/**
 * A peer's files, as the API gives them: this peer server's own, or another peer's through it (`/peers/ID/…`, the same paths).
 */

import { readJson, send } from "../lib/http.js";
import { encodePath } from "./places.js";

/** @import { FolderPage, PeerSelf, SearchPage } from "../../../protocol/files/listing.ts" */
/** @import { MarkdownDocument } from "../../../protocol/files/markdown_tree.ts" */
/** @import { Bridge, OtherPeer, Sent } from "../../../protocol/files/owner_api.ts" */
/** @typedef {import("../lib/http.js").CallOptions} CallOptions */

/**
 * @typedef {{ size: number, type: string, modifiedMs: number | undefined, root: string | undefined, etag: string | undefined }} FileHead
 */

/** How much of a text is shown at first. */
export const TEXT_BYTES = 256 * 1024;

export class Source {
  /** @param {string} [peerId] of another peer */
  constructor(peerId) {
    this.peerId = peerId;
    this.base = peerId === undefined ? "" : `/peers/${peerId}`;
    this.server = peerId === undefined ? "Your peer server" : "The other peer";
  }

  /** @returns {Promise<PeerSelf>} */
  self(/** @type {AbortSignal | undefined} */ signal) {
    return this.#json("/api/self", { signal });
  }

  /**
   * @param {string} path
   * @param {CallOptions} options
   * @returns {Promise<FolderPage>}
   */
  folder(path, options) {
    return this.#json(path === "" ? "/api/files" : `/api/files/${encodePath(path)}`, options);
  }

  /**
   * @param {CallOptions} options
   * @returns {Promise<SearchPage>}
   */
  search(options) {
    return this.#json("/api/search", options);
  }

  /**
   * @param {string} path
   * @param {AbortSignal} signal
   * @returns {Promise<MarkdownDocument>}
   */
  markdown(path, signal) {
    return this.#json(`/api/markdown/${encodePath(path)}`, { signal });
  }

  /**
   * What is known of a file before any of it is loaded; undefined for a folder, to which the server leads on.
   * @param {string} path
   * @param {AbortSignal} signal
   * @returns {Promise<FileHead | undefined>}
   */
  async head(path, signal) {
    const { headers, url } = await send("HEAD", this.downloadUrl(path), { signal, server: this.server });
    if (new URL(url).pathname.endsWith("/")) return undefined;
    const modifiedMs = Date.parse(headers.get("last-modified") ?? "");
    const etag = headers.get("etag") ?? undefined;
    return {
      size: Number(headers.get("content-length") ?? 0),
      type: (headers.get("content-type") ?? "application/octet-stream").split(";")[0] ?? "",
      modifiedMs: Number.isNaN(modifiedMs) ? undefined : modifiedMs,
      root: /^"([0-9a-f]{64})"$/.exec(etag ?? "")?.[1],
      etag,
    };
  }

  /**
   * The beginning of a file.
   * @param {string} path
   * @param {AbortSignal} signal
   */
  async beginning(path, signal) {
    const headers = { accept: "*/*", range: `bytes=0-${TEXT_BYTES - 1}` };
    const response = await send("GET", this.inlineUrl(path), { signal, headers, server: this.server });
    return await response.arrayBuffer();
  }

  /**
   * To be shown beside other things: pictures, sound. Markdown and the like as it is.
   * @param {string} path
   */
  inlineUrl(path) {
    return `${this.downloadUrl(path)}?inline`;
  }

  /**
   * By itself, as a browser shows it.
   * @param {string} path
   */
  contentUrl(path) {
    return `${this.base}/content/${encodePath(path)}`;
  }

  /**
   * To be kept.
   * @param {string} path
   */
  downloadUrl(path) {
    return `${this.base}/download/${encodePath(path)}`;
  }

  /**
   * Where it is put.
   * @param {string} path
   */
  uploadUrl(path) {
    return `${this.base}/upload/${encodePath(path)}`;
  }

  /**
   * @param {string} path
   * @param {CallOptions} options
   */
  async #json(path, options) {
    return await readJson(await send("GET", this.base + path, { ...options, server: this.server }), this.server);
  }
}

const SERVER = "Your peer server";

/**
 * Other peers that are known of. Only the owner may ask.
 * @param {AbortSignal} [signal]
 * @returns {Promise<{ peers: OtherPeer[] }>}
 */
export async function otherPeers(signal) {
  return await readJson(await send("GET", "/api/peers", { signal, server: SERVER }), SERVER);
}

/**
 * A URL of this machine that leads to a peer.
 * @param {string} peerId
 * @returns {Promise<Bridge>}
 */
export async function openBridge(peerId) {
  return await readJson(await send("POST", `/api/peers/${peerId}/open`, { server: SERVER }), SERVER);
}

/**
 * What was sent to others of late.
 * @param {AbortSignal} signal
 * @returns {Promise<{ transfers: Sent[] }>}
 */
export async function sentOfLate(signal) {
  return await readJson(await send("GET", "/api/transfers", { signal, server: SERVER }), SERVER);
}
