/**
 * A peer server's pages for people: its files and those of other peers. All they show they ask the peer server's API for.
 *
 * What the API is, is described at `/api` (`peer_api.ts`). Beyond what all pages may they play sound and video and frame PDF, of the same server.
 */

import type { Hono } from "hono";
import { API_PATHS, serveDescription } from "./api_description.ts";
import { openApiOf } from "./openapi.ts";
import { createPageApp } from "./page_app.ts";
import { peerApi } from "./peer_api.ts";
import { commonPageFiles, INDEX_NAME, type PageTable } from "./page_files.ts";

export function createPeerPages(version: string): Hono {
  const policy = ["media-src 'self'", "frame-src 'self'", "frame-ancestors 'none'"];
  const app = createPageApp({ table: peerPageTable(), policy });
  serveDescription(app, () => openApiOf(peerApi(version)), API_PATHS);
  return app;
}

/** Every file of theirs. */
export function peerPageTable(): PageTable {
  return {
    ...commonPageFiles(),
    [INDEX_NAME]: () => import("./web/peer/index.html", { with: { type: "text" } }),
    "peer/app.js": () => import("./web/peer/app.js", { with: { type: "text" } }),
    "peer/entries.js": () => import("./web/peer/entries.js", { with: { type: "text" } }),
    "peer/file_page.js": () => import("./web/peer/file_page.js", { with: { type: "text" } }),
    "peer/find_page.js": () => import("./web/peer/find_page.js", { with: { type: "text" } }),
    "peer/folder_page.js": () => import("./web/peer/folder_page.js", { with: { type: "text" } }),
    "peer/frame.js": () => import("./web/peer/frame.js", { with: { type: "text" } }),
    "peer/head.js": () => import("./web/peer/head.js", { with: { type: "text" } }),
    "peer/markdown.js": () => import("./web/peer/markdown.js", { with: { type: "text" } }),
    "peer/news.js": () => import("./web/peer/news.js", { with: { type: "text" } }),
    "peer/peers_page.js": () => import("./web/peer/peers_page.js", { with: { type: "text" } }),
    "peer/places.js": () => import("./web/peer/places.js", { with: { type: "text" } }),
    "peer/previews.js": () => import("./web/peer/previews.js", { with: { type: "text" } }),
    "peer/sent_page.js": () => import("./web/peer/sent_page.js", { with: { type: "text" } }),
    "peer/source.js": () => import("./web/peer/source.js", { with: { type: "text" } }),
    "peer/styles.css": () => import("./web/peer/styles.css", { with: { type: "text" } }),
    "peer/upload.js": () => import("./web/peer/upload.js", { with: { type: "text" } }),
  };
}
