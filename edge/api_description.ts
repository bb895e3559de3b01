/**
 * Serves what an app offers, for programs and for people: `openapi.json`, and the same as a page with its style. Anyone may
 * read it: it says what is in this program's source, and nothing of who runs it or what goes on. Made when first asked for,
 * so that it costs a start nothing.
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
  let described: OpenApiDocument | Promise<OpenApiDocument> | undefined;
  const once = async () => await (described ??= describe());
  app.get(document, async (context) => context.json(await once(), 200, CACHEABLE));
  app.get(page, async (context) => {
    return context.body(await openApiPage(await once(), { document, style }), 200, {
      ...PAGE_HEADERS,
      "x-content-type-options": "nosniff",
    });
  });
  app.get(style, (context) => context.body(openApiStyle, 200, { "content-type": "text/css", ...CACHEABLE }));
}
