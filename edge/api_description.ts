/**
 * Serves what an app offers, for programs and for people: `openapi.json`, and the same as a page with its style. Anyone may
 * read it: it says what is in this program's source, and nothing of who runs it or what goes on. Made when first asked for,
 * so that it costs a start nothing, and then kept as text, so that asking again and again costs next to nothing.
 *
 * Not here: how often one address may ask; an app that limits that does so before these paths too.
 */

import type { Env, Hono } from "hono";
import type { OpenApiDocument } from "./openapi.ts";
import { openApiPage, PAGE_HEADERS } from "./openapi_page.ts";
import { openApiStyle } from "./openapi_style.ts";

export interface DescriptionPaths {
  readonly page: string;
  readonly document: string;
  readonly style: string;
}

/** Where it is, where nothing else is at `/`. */
export const ROOT_PATHS: DescriptionPaths = { page: "/", document: "/openapi.json", style: "/style.css" };
/** Where it is beside an app's own page at `/`. */
export const API_PATHS: DescriptionPaths = { page: "/api", document: "/openapi.json", style: "/api.css" };

const CACHEABLE = { "cache-control": "public, max-age=300", "x-content-type-options": "nosniff" };

/** `describe` is called once. */
export function serveDescription<E extends Env>(
  app: Hono<E>,
  describe: () => OpenApiDocument | Promise<OpenApiDocument>,
  { page, document, style }: DescriptionPaths = ROOT_PATHS,
): void {
  const described = once(async () => await describe());
  const documentText = once(async () => JSON.stringify(await described()));
  const pageText = once(async () => await openApiPage(await described(), { document, style }));
  app.get(document, async (context) => {
    return context.body(await documentText(), 200, { "content-type": "application/json", ...CACHEABLE });
  });
  app.get(page, async (context) => {
    return context.body(await pageText(), 200, { ...PAGE_HEADERS, "x-content-type-options": "nosniff" });
  });
  app.get(style, (context) => context.body(openApiStyle, 200, { "content-type": "text/css", ...CACHEABLE }));
}

/** Makes it when it is first asked for, and keeps it. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => made ??= make();
}
