/**
 * Markdown as elements, from the tree that the peer server makes of it. Whoever wrote the text may be anybody, and the tree may
 * come from another peer: only the tags below become elements, links lead to places of these pages or, visibly, elsewhere, and
 * pictures are files of the same peer.
 */

import { h } from "../lib/dom.js";
import { hrefOf } from "./places.js";

/** @import { MarkdownElement, MarkdownNode } from "../../../protocol/files/markdown_tree.ts" */
/** @import { Source } from "./source.js" */

const TAGS = /** @type {const} */ ([
  "blockquote",
  "br",
  "code",
  "del",
  "em",
  "h2",
  "h3",
  "h4",
  "h5",
  "h6",
  "hr",
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
]);
/** Deeper than anybody writes; what lies deeper is left out. */
const MAX_DEPTH = 100;

/**
 * @param {readonly MarkdownNode[]} nodes
 * @param {{ source: Source, path: string }} where `path`: of the text itself
 */
export function markdownView(nodes, where) {
  return h("div", { class: "markdown" }, nodes.map((node) => nodeView(node, where, 0)));
}

/**
 * A heading in it, by what a link calls it.
 * @param {Element} view
 * @param {string} name
 */
export function headingOf(view, name) {
  return view.querySelector(`#${CSS.escape(`at-${name}`)}`);
}

/**
 * @param {MarkdownNode} node
 * @param {{ source: Source, path: string }} where
 * @param {number} depth
 * @returns {string | HTMLElement}
 */
function nodeView(node, where, depth) {
  if (typeof node === "string" || depth > MAX_DEPTH) return typeof node === "string" ? node : "";
  const children = (node.children ?? []).map((child) => nodeView(child, where, depth + 1));
  if (node.tag === "a") return linkView(node, where, children);
  if (node.tag === "img") return pictureView(node, where);
  const tag = TAGS.find((known) => known === under(node.tag));
  if (!tag) return h("span", {}, children);
  const element = h(tag, {
    // Ids of the page itself are out of reach.
    id: node.id === undefined ? undefined : `at-${node.id}`,
    start: node.tag === "ol" ? node.start : undefined,
    class: node.align && `align-${node.align}`,
  }, children);
  return tag === "table" ? h("div", { class: "markdown-table" }, element) : element;
}

/**
 * The first heading is the page's own: those of the text come below it.
 * @param {string} tag
 */
function under(tag) {
  return /^h[1-5]$/.test(tag) ? `h${Number(tag[1]) + 1}` : tag;
}

/**
 * @param {MarkdownElement} node
 * @param {{ source: Source, path: string }} where
 * @param {(string | HTMLElement)[]} children
 */
function linkView({ path, fragment, url, title }, where, children) {
  const href = url ?? hrefOf(placeAt(path, fragment, where));
  if (url === undefined) return h("a", { href, title }, children);
  if (!/^(?:https?:\/\/|mailto:)/i.test(url)) return h("span", {}, children);
  return h(
    "a",
    { href, title: title ?? url, rel: "noopener noreferrer", target: "_blank", class: "elsewhere" },
    children,
  );
}

/**
 * A link to a folder ends with `/`, or is to all.
 * @param {string | undefined} path
 * @param {string | undefined} fragment
 * @param {{ source: Source, path: string }} where
 * @returns {import("./places.js").Place}
 */
export function placeAt(path, fragment, { source, path: here }) {
  const { peerId } = source;
  if (path === "" || path?.endsWith("/")) return { kind: "folder", path: path.replace(/\/$/, ""), peerId };
  return { kind: "file", path: path ?? here, at: fragment, peerId };
}

/**
 * @param {MarkdownElement} node
 * @param {{ source: Source }} where
 */
function pictureView({ path, alt, title }, { source }) {
  if (path === undefined) return h("span", { class: "soft" }, alt ?? "");
  return h("img", { src: source.inlineUrl(path), alt: alt ?? "", title, loading: "lazy" });
}
