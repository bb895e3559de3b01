/**
 * What a peer server answers, by method and path: the table, and how a URL is taken apart. The path is read as it was sent:
 * nothing resolves `..` before `safe_path.ts` sees it.
 */

import type { PeerGuest } from "../peers/peer_connection.ts";
import { serveContent, serveDownload } from "./content_routes.ts";
import type { FileServerParts } from "./file_server.ts";
import {
  serveByRoot,
  serveEvents,
  serveFolder,
  serveMarkdownTree,
  servePieces,
  serveSearch,
  serveSelf,
} from "./listing_routes.ts";
import { openStream } from "./stream_route.ts";
import { takeUpload } from "./upload.ts";

/** What of a request comes before its body. */
export interface AskedHead {
  readonly method: string;
  readonly url: string;
  readonly headers: Pick<Headers, "get">;
  /** It is known to be a `GET` of all there is, under no condition. */
  readonly isPlain?: boolean;
}

/** A request on its way to whoever answers it. */
export interface Asked<Asking extends AskedHead = Request> {
  readonly request: Asking;
  readonly guest: PeerGuest | undefined;
  /** What whoever asks may see. */
  readonly scope: string;
  /** What comes after the route, still encoded: "" or `/…`. */
  readonly rest: string;
  readonly query: URLSearchParams;
  /** Whether the answer may be a `FileAnswer`, whose bytes whoever asks sends by itself. */
  readonly isDirect?: boolean;
}

export interface Route {
  /** The path itself, and with `deep` whatever lies below it. */
  readonly path: string;
  readonly deep?: boolean;
  readonly methods: readonly string[];
  readonly isForOwner?: boolean;
  answer(asked: Asked, parts: FileServerParts): Response | Promise<Response>;
}

const READ = ["GET", "HEAD"];

/** The first that fits. */
export function routeTable(): readonly Route[] {
  return [
    { path: "/content", deep: true, methods: READ, answer: serveContent },
    { path: "/download", deep: true, methods: READ, answer: serveDownload },
    { path: "/api/files", deep: true, methods: READ, answer: serveFolder },
    { path: "/api/self", methods: READ, answer: serveSelf },
    { path: "/api/search", methods: READ, answer: serveSearch },
    { path: "/api/pieces", deep: true, methods: READ, answer: servePieces },
    { path: "/api/by-root", deep: true, methods: READ, answer: serveByRoot },
    { path: "/api/markdown", deep: true, methods: READ, answer: serveMarkdownTree },
    { path: "/api/events", methods: ["GET"], answer: serveEvents },
    { path: "/api/streams", methods: ["POST"], isForOwner: true, answer: openStream },
    { path: "/upload", deep: true, methods: ["PUT"], answer: takeUpload },
  ];
}

export function findRoute(routes: readonly Route[], path: string): Route | undefined {
  return routes.find((route) => path === route.path || route.deep && path.startsWith(`${route.path}/`));
}

/** As they were sent. */
export function splitUrl(url: string): { readonly path: string; readonly query: string } {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  if (start < 0) return { path: "/", query: "" };
  const hash = url.indexOf("#", start);
  const whole = url.slice(start, hash < 0 ? undefined : hash);
  const mark = whole.indexOf("?");
  return mark < 0 ? { path: whole, query: "" } : { path: whole.slice(0, mark), query: whole.slice(mark + 1) };
}
