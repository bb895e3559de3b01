/**
 * Pages for people, as a Hono app: `/` is the one document, `/web/…` its scripts and styles.
 *
 * The policy lets in nothing from elsewhere and nothing inline, and has the browser refuse to make markup out of text.
 */

import { type Context, Hono, type Next } from "hono";
import { INDEX_NAME, PageFiles, type PageTable } from "./page_files.ts";

export interface PageAppOptions {
  readonly table: PageTable;
  /** Rules of the policy beside those that all pages have. */
  readonly policy: readonly string[];
}

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
];

const HEADERS = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "vary": "accept-encoding",
  // Asked for each time, and answered with 304: a new version is there at once and whole.
  "cache-control": "no-cache",
} as const;

export function createPageApp({ table, policy }: PageAppOptions): Hono {
  const app = new Hono();
  const files = new PageFiles(table);
  const headers = { ...HEADERS, "content-security-policy": [...POLICY, ...policy].join("; ") };
  app.get("/", (context, next) => serve(context, files, { name: INDEX_NAME, headers, next }));
  app.get("/web/*", (context, next) => {
    return serve(context, files, { name: context.req.path.slice("/web/".length), headers, next });
  });
  return app;
}

interface Asked {
  readonly name: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Whoever says that there is nothing. */
  readonly next: Next;
}

async function serve(
  context: Context,
  files: PageFiles,
  { name, headers: usual, next }: Asked,
): Promise<Response | void> {
  const file = await files.find(name);
  if (!file) return await next();
  const headers = { ...usual, etag: file.etag };
  if (context.req.header("if-none-match") === file.etag) return context.body(null, 304, headers);
  const isGzip = /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:,|$))/.test(context.req.header("accept-encoding") ?? "");
  return context.body(isGzip ? file.gzip : file.bytes, 200, {
    ...headers,
    "content-type": file.contentType,
    ...(isGzip && { "content-encoding": "gzip" }),
  });
}
