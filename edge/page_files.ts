/**
 * The files of pages (`edge/web/`) by the names under which they are served: as they were written, with no build step between.
 * What is not in a table is not served, whatever a path says.
 *
 *   name ─▶ text (part of the module graph, so that it is there in a compiled program too) ─▶ bytes, gzip, ETag: made once
 */

import { encodeBase64Url } from "../protocol/encoding.ts";

/** A file, ready to be sent. */
export interface PageFile {
  readonly contentType: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly gzip: Uint8Array<ArrayBuffer>;
  /** Of what is in it, quoted as the header has it. */
  readonly etag: string;
}

export type Loader = () => Promise<{ readonly default: string }>;

export type PageTable = Readonly<Record<string, Loader>>;

/** The one document. */
export const INDEX_NAME = "index.html";

const contentTypes: Readonly<Record<string, string>> = {
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
  html: "text/html; charset=utf-8",
};

/** What pages of every kind are made of. */
export function commonPageFiles(): PageTable {
  return {
    "icon.svg": () => import("./web/icon.svg", { with: { type: "text" } }),
    "lib/controls.js": () => import("./web/lib/controls.js", { with: { type: "text" } }),
    "lib/dialog.js": () => import("./web/lib/dialog.js", { with: { type: "text" } }),
    "lib/dom.js": () => import("./web/lib/dom.js", { with: { type: "text" } }),
    "lib/http.js": () => import("./web/lib/http.js", { with: { type: "text" } }),
    "lib/money.js": () => import("./web/lib/money.js", { with: { type: "text" } }),
    "lib/router.js": () => import("./web/lib/router.js", { with: { type: "text" } }),
    "lib/section.js": () => import("./web/lib/section.js", { with: { type: "text" } }),
    "lib/table.js": () => import("./web/lib/table.js", { with: { type: "text" } }),
    "lib/theme.js": () => import("./web/lib/theme.js", { with: { type: "text" } }),
    "lib/toast.js": () => import("./web/lib/toast.js", { with: { type: "text" } }),
    "lib/words.js": () => import("./web/lib/words.js", { with: { type: "text" } }),
    "styles/base.css": () => import("./web/styles/base.css", { with: { type: "text" } }),
    "styles/pages.css": () => import("./web/styles/pages.css", { with: { type: "text" } }),
    "styles/parts.css": () => import("./web/styles/parts.css", { with: { type: "text" } }),
    "styles/tokens.css": () => import("./web/styles/tokens.css", { with: { type: "text" } }),
    "theme.js": () => import("./web/theme.js", { with: { type: "text" } }),
  };
}

/** Makes each file when it is first asked for, and keeps it. */
export class PageFiles {
  readonly #table: ReadonlyMap<string, Loader>;
  readonly #files = new Map<string, Promise<PageFile>>();

  constructor(table: PageTable) {
    this.#table = new Map(Object.entries(table));
  }

  find(name: string): Promise<PageFile> | undefined {
    const known = this.#files.get(name);
    if (known) return known;
    const load = this.#table.get(name);
    if (!load) return undefined;
    const file = makeFile(name, load);
    this.#files.set(name, file);
    return file;
  }
}

async function makeFile(name: string, load: Loader): Promise<PageFile> {
  const bytes = new TextEncoder().encode((await load()).default);
  const gzip = await new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"))).bytes();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const extension = name.slice(name.lastIndexOf(".") + 1);
  return {
    contentType: contentTypes[extension] ?? "application/octet-stream",
    bytes,
    gzip,
    etag: `"${encodeBase64Url(digest).slice(0, 22)}"`,
  };
}
