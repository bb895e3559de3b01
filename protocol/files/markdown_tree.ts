/**
 * Markdown as a tree of what may be shown: a few kinds of elements, and nothing that runs, loads from elsewhere or leads
 * anywhere unseen. Whoever shows it makes elements of it, or text of a document, and needs no cleaning.
 *
 *   "text"   { tag: "p", children: [ … ] }   { tag: "a", path: "notes/b.md", fragment: "two", children: [ … ] }
 *
 * A link within the shared folder is a `path`, resolved; one to elsewhere is a `url` of http, https or mailto. Pictures are of
 * the shared folder alone. A link that is neither is only its text.
 */

import { z } from "zod";
import { MAX_PATH_BYTES } from "./listing.ts";

export const markdownTags = [
  "a",
  "blockquote",
  "br",
  "code",
  "del",
  "em",
  "h1",
  "h2",
  "h3",
  "h4",
  "h5",
  "h6",
  "hr",
  "img",
  "li",
  "ol",
  "p",
  "pre",
  "strong",
  "table",
  "tbody",
  "td",
  "th",
  "thead",
  "tr",
  "ul",
] as const;
export type MarkdownTag = typeof markdownTags[number];

/** Those that have no children. */
export const emptyTags: ReadonlySet<MarkdownTag> = new Set<MarkdownTag>(["br", "hr", "img"]);

export interface MarkdownElement {
  readonly tag: MarkdownTag;
  /** Of `a` and `img`: within the shared folder. */
  readonly path?: string | undefined;
  /** Of `a`: a place in that file, or in this one when there is no path. */
  readonly fragment?: string | undefined;
  /** Of `a`: elsewhere. */
  readonly url?: string | undefined;
  /** Of `img`. */
  readonly alt?: string | undefined;
  readonly title?: string | undefined;
  /** Of headings: what a fragment names. */
  readonly id?: string | undefined;
  /** Of `ol`. */
  readonly start?: number | undefined;
  /** Of `th` and `td`. */
  readonly align?: "left" | "center" | "right" | undefined;
  /** Of `code` in `pre`: the language it is said to be in. */
  readonly language?: string | undefined;
  readonly children?: readonly MarkdownNode[] | undefined;
}

export type MarkdownNode = string | MarkdownElement;

export const markdownElementSchema: z.ZodType<MarkdownElement> = z.object({
  tag: z.enum(markdownTags),
  path: z.string().max(MAX_PATH_BYTES).optional(),
  fragment: z.string().max(256).optional(),
  url: z.string().max(2048).regex(/^(?:https?:\/\/|mailto:)[!-~]+$/i).optional(),
  alt: z.string().optional(),
  title: z.string().optional(),
  id: z.string().max(128).optional(),
  start: z.int().min(0).optional(),
  align: z.enum(["left", "center", "right"]).optional(),
  language: z.string().max(32).optional(),
  get children() {
    return z.array(z.union([z.string(), markdownElementSchema])).optional();
  },
});

/** As `GET /api/markdown/PATH` answers. */
export const markdownDocumentSchema = z.object({
  path: z.string().max(MAX_PATH_BYTES),
  /** The first heading, as text; else the file's name. */
  title: z.string(),
  nodes: z.array(z.union([z.string(), markdownElementSchema])),
  /** Where its links lead within the shared folder, in their order and each once: the ways on from here. */
  links: z.array(z.object({ path: z.string().max(MAX_PATH_BYTES), text: z.string() })).max(256),
});
export type MarkdownDocument = z.infer<typeof markdownDocumentSchema>;

/** What is shown of a node where there is room for text alone. */
export function textOf(nodes: readonly MarkdownNode[]): string {
  return nodes.map((node) => typeof node === "string" ? node : node.alt ?? textOf(node.children ?? [])).join("");
}
