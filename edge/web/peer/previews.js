/**
 * What can be shown of a file in the page: markdown, pictures, film and sound (the browser seeks in them with range requests),
 * PDF, and the beginning of a text. What a file holds is never markup of the page.
 */

import { h } from "../lib/dom.js";
import { empty, section } from "../lib/section.js";
import { bytes } from "../lib/words.js";
import { headingOf, markdownView, placeAt } from "./markdown.js";
import { hrefOf, shown } from "./places.js";
import { TEXT_BYTES } from "./source.js";

/** @import { MarkdownDocument } from "../../../protocol/files/markdown_tree.ts" */
/** @import { FileHead, Source } from "./source.js" */

/** Longer markdown is shown as it is written; the server makes no tree of it. */
const MAX_MARKDOWN_BYTES = 512 * 1024;
/** What a browser shows as a picture; others would be a broken one. */
const PICTURES = /^image\/(?:apng|avif|bmp|gif|jpeg|png|svg\+xml|vnd\.microsoft\.icon|webp)$/;
const TEXTS = /^(?:text\/.*|application\/(?:json|ld\+json|xml|xhtml\+xml|manifest\+json))$/;

/**
 * @typedef {{ source: Source, path: string, name: string, head: FileHead, at?: string | undefined, signal: AbortSignal }} Shown
 */

/**
 * @param {Shown} shown
 * @returns {HTMLElement}
 */
export function preview(shown) {
  const { source, path, name, head: { type, size } } = shown;
  const src = source.inlineUrl(path);
  if (type === "text/markdown" && size <= MAX_MARKDOWN_BYTES) return markdownPreview(shown);
  if (size === 0) return empty("This file is empty");
  if (PICTURES.test(type)) {
    return h("a", { href: src, class: "picture" }, h("img", { src, alt: name, on: { error: cannot("picture") } }));
  }
  if (type.startsWith("video/")) {
    return h("video", { src, controls: true, preload: "metadata", playsinline: true, on: { error: cannot("film") } });
  }
  if (type.startsWith("audio/")) {
    return h("audio", { src, controls: true, preload: "metadata", on: { error: cannot("sound") } });
  }
  // Of another peer's it comes in a sandbox, where browsers show none.
  if (type === "application/pdf" && source.peerId === undefined) return h("iframe", { src, title: name });
  if (TEXTS.test(type) || (type === "application/octet-stream" && size <= TEXT_BYTES)) return textPreview(shown);
  return nothing();
}

/** @param {string} what */
function cannot(what) {
  return (/** @type {Event} */ { target }) => {
    if (target instanceof HTMLElement) {
      target.replaceWith(empty(`This browser cannot show this ${what}`, "It can be downloaded."));
    }
  };
}

function nothing() {
  return empty("There is no preview of this kind of file", "It can be downloaded.");
}

/** @param {Shown} shown */
function textPreview({ source, path, head, signal }) {
  return section({
    signal,
    load: (signal) => source.beginning(path, signal),
    show: (buffer) => {
      const text = textOf(buffer, buffer.byteLength < head.size);
      if (text === undefined) return nothing();
      return [
        h("pre", { class: "text", tabindex: "0", dir: "auto" }, text),
        buffer.byteLength < head.size &&
        h("p", { class: "soft" }, `The first ${bytes(buffer.byteLength)} of ${bytes(head.size)}.`),
      ];
    },
  }).element;
}

/**
 * Undefined for what is no text. At a cut the last character may be half.
 * @param {ArrayBuffer} buffer
 * @param {boolean} isCut
 */
function textOf(buffer, isCut) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(buffer, { stream: isCut });
    return text.includes("\0") ? undefined : text;
  } catch {
    return undefined;
  }
}

/** @param {Shown} shown */
function markdownPreview({ source, path, at, signal }) {
  return section({
    signal,
    load: (signal) => source.markdown(path, signal),
    show: (document) => {
      const view = markdownView(document.nodes, { source, path });
      if (at !== undefined) queueMicrotask(() => headingOf(view, at)?.scrollIntoView());
      return [waysOn(document, source, path), view];
    },
  }).element;
}

/**
 * Where the text leads: its links are the ways from page to page.
 * @param {MarkdownDocument} document
 * @param {Source} source
 * @param {string} path
 */
function waysOn({ links }, source, path) {
  if (links.length === 0) return undefined;
  return h(
    "nav",
    { class: "ways-on", "aria-label": "Where this text leads" },
    h(
      "ul",
      {},
      links.map((link) => {
        const href = hrefOf(placeAt(link.path, undefined, { source, path }));
        return h("li", {}, h("a", { href, dir: "auto" }, shown(link.text || link.path)));
      }),
    ),
  );
}
