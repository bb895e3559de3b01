/**
 * A markdown file as a page for browsers that needs no script: the way to it from the shared folder, then the text. The page's
 * own links are relative, so that it may be seen through another server.
 *
 * Its policy lets nothing run and nothing in from elsewhere; what is in it is written out of a tree that could say neither.
 */

import { createHash } from "node:crypto";
import type { MarkdownDocument, MarkdownElement, MarkdownNode } from "../../protocol/files/markdown_tree.ts";
import { emptyTags } from "../../protocol/files/markdown_tree.ts";
import type { Validators } from "../../protocol/files/preconditions.ts";
import { encodePath } from "../../protocol/files/safe_path.ts";
import { answerEarly, contentHeaders, safetyHeaders, validatorsOf } from "./content_headers.ts";
import type { FileServerParts } from "./file_server.ts";
import { readMarkdown } from "./markdown.ts";
import type { OpenFile } from "./open_file.ts";
import { problem } from "./problem.ts";
import type { Asked, AskedHead } from "./routes.ts";
import type { Opened } from "./shared_root.ts";

const STYLE = `
:root{color-scheme:light dark;--ink:light-dark(#1c2024,#e8eaed);--soft:light-dark(#5d6670,#9aa4af);
--line:light-dark(#d9dee3,#343b43);--wash:light-dark(#f4f6f8,#1d2227);--link:light-dark(#0b57b0,#8ab4f8)}
body{margin:0 auto;max-width:46rem;padding:1.5rem 1.25rem 4rem;color:var(--ink);
background:light-dark(#fff,#14181c);font:1rem/1.6 system-ui,sans-serif;overflow-wrap:break-word}
nav{font-size:.9rem;color:var(--soft);border-bottom:1px solid var(--line);padding-bottom:.75rem;margin-bottom:1.5rem}
nav ol{display:flex;flex-wrap:wrap;gap:.15rem .4rem;list-style:none;margin:0;padding:0}
nav li+li::before{content:"/";margin-right:.4rem;color:var(--line)}
a{color:var(--link)}h1,h2,h3{line-height:1.25;margin:1.6em 0 .5em}h1:first-child{margin-top:0}
img{max-width:100%;height:auto}pre,code{font-family:ui-monospace,monospace;font-size:.9em}
code{background:var(--wash);border-radius:.25rem;padding:.1em .3em}pre{background:var(--wash);padding:1rem;overflow-x:auto;
border-radius:.5rem}pre code{background:none;padding:0;font-size:1em}blockquote{margin:1em 0;padding-left:1rem;color:var(--soft);
border-left:3px solid var(--line)}table{border-collapse:collapse;display:block;overflow-x:auto}
th,td{border:1px solid var(--line);padding:.35rem .7rem}hr{border:0;border-top:1px solid var(--line)}
[data-align=center]{text-align:center}[data-align=right]{text-align:right}
`;

/** Whether it is a browser that asks for a page, and not a program for the text, or a person for its source. */
export function wantsPage({ request, query }: Asked<AskedHead>): boolean {
  return !query.has("raw") && /\btext\/html\b/i.test(request.headers.get("accept") ?? "");
}

/** Takes over what is open. */
export function sendMarkdownPage(
  { request }: Asked<AskedHead>,
  parts: FileServerParts,
  { path, opened }: { readonly path: string; readonly opened: Opened },
): Response {
  using file = opened.file;
  const tag = validatorsOf(opened, parts);
  // Another form of the same content needs a tag of its own.
  const validators: Validators = { ...tag, etag: tag.etag?.replace(/"$/, '-page"') };
  const headers = {
    ...contentHeaders({ path, isAttachment: false }, validators),
    ...safetyHeaders(pagePolicy()),
    "content-type": "text/html; charset=utf-8",
    "accept-ranges": "none",
    vary: "accept",
  };
  const early = answerEarly(request, validators, headers, parts.options.clock.wallNow());
  if (early) return early;
  const text = readText(file);
  if (text === undefined) return problem("changing", "Cannot show the file: it was written to meanwhile");
  const page = new TextEncoder().encode(writePage(readMarkdown(text, path)));
  return new Response(request.method === "HEAD" ? null : page, {
    headers: { ...headers, "content-length": String(page.length) },
  });
}

/** One state of it, or undefined. */
export function readText(file: OpenFile): string | undefined {
  const bytes = new Uint8Array(file.state.size);
  for (let at = 0; at < bytes.length;) {
    const count = file.readSync(bytes.subarray(at), at);
    if (count === 0) return undefined;
    at += count;
  }
  return file.isUnchanged() ? new TextDecoder().decode(bytes) : undefined;
}

/** The document as HTML; `document.path` tells how its links begin. */
export function writePage(document: MarkdownDocument): string {
  const { path, title, nodes } = document;
  const toRoot = "../".repeat(path.split("/").length - 1);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<nav aria-label="Where this is">${crumbs(path, toRoot)}</nav>
<main>${write(nodes, toRoot)}</main>
</body>
</html>
`;
}

function pagePolicy(): string {
  const hash = createHash("sha256").update(STYLE).digest("base64");
  return [
    "default-src 'none'",
    "img-src 'self'",
    `style-src 'sha256-${hash}'`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'self'",
    // Without scripts, but with its origin: or its own pictures would be another's.
    "sandbox allow-same-origin",
  ].join("; ");
}

/** The folders on the way: each shows its own `index.md`, if it has one. */
function crumbs(path: string, toRoot: string): string {
  const names = path.split("/");
  const last = names.pop()!;
  const folders = [{ name: "Shared folder", href: toRoot || "./" }];
  names.forEach((name, depth) => folders.push({ name, href: "../".repeat(names.length - depth - 1) || "./" }));
  const links = folders.map(({ name, href }) => `<li><a href="${escaped(href)}">${escaped(name)}</a></li>`);
  return `<ol>${links.join("")}<li aria-current="page">${escaped(last)}</li></ol>`;
}

function write(nodes: readonly MarkdownNode[], toRoot: string): string {
  return nodes.map((node) => typeof node === "string" ? escaped(node) : writeElement(node, toRoot)).join("");
}

function writeElement(element: MarkdownElement, toRoot: string): string {
  const { tag, children = [] } = element;
  const start = `<${tag}${attributesOf(element, toRoot)}>`;
  return emptyTags.has(tag) ? start : `${start}${write(children, toRoot)}</${tag}>`;
}

function attributesOf(element: MarkdownElement, toRoot: string): string {
  const { tag, url, title, alt, id, start, align } = element;
  const where = url ?? hrefOf(element, toRoot);
  const attributes: readonly (readonly [string, string | number | undefined])[] = [
    [tag === "img" ? "src" : "href", where],
    ["rel", url === undefined ? undefined : "noreferrer noopener"],
    ["alt", alt],
    ["title", title],
    ["id", id],
    ["start", start],
    ["data-align", align],
    ["loading", tag === "img" ? "lazy" : undefined],
  ];
  return attributes.map(([name, value]) => value === undefined ? "" : ` ${name}="${escaped(String(value))}"`).join("");
}

function hrefOf({ path, fragment }: MarkdownElement, toRoot: string): string | undefined {
  if (path === undefined && fragment === undefined) return undefined;
  const place = fragment === undefined ? "" : `#${encodeURIComponent(fragment)}`;
  // With a dot in front a name with a colon is no scheme.
  return path === undefined ? place : `${toRoot || "./"}${encodePath(path)}${place}`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
