/**
 * Markdown to the tree that may be shown (`protocol/files/markdown_tree.ts`): read by markdown-it (CommonMark with tables and
 * struck-out text) without HTML, then made anew of what is on the list. What is not on the list leaves its text.
 */

import MarkdownIt, { type Token } from "markdown-it";
import {
  type MarkdownDocument,
  type MarkdownElement,
  type MarkdownNode,
  type MarkdownTag,
  markdownTags,
  textOf,
} from "../../protocol/files/markdown_tree.ts";
import { folderOf, isPath, nameOf } from "../../protocol/files/safe_path.ts";

/** Longer texts are shown as they are: nobody reads them as a page, and all else would wait. */
export const MAX_MARKDOWN_BYTES = 256 * 1024;
const MAX_LINKS = 256;
const MAX_URL = 2048;

const TAGS: ReadonlySet<string> = new Set(markdownTags);
/** What markdown-it calls otherwise. */
const OTHER_TAGS: Readonly<Record<string, MarkdownTag>> = { s: "del", strike: "del" };

/** `path` is where the text lies in the shared folder: its links start there. */
export function readMarkdown(text: string, path: string): MarkdownDocument {
  const reader = new MarkdownIt({ html: false, linkify: true });
  reader.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false });
  const nodes = new TreeMaker(path).make(reader.parse(text, {}));
  const heading = findHeading(nodes);
  const title = (heading && textOf(heading.children ?? []).trim()) || nameOf(path);
  return { path, title: title.slice(0, 256), nodes, links: linksOf(nodes) };
}

/** Where a link leads that stands in `path`; undefined for nowhere. */
export function resolveLink(
  href: string,
  path: string,
): Pick<MarkdownElement, "path" | "fragment" | "url"> | undefined {
  if (/^[a-z][a-z0-9+.-]*:/i.test(href)) {
    const isKnown = /^(?:https?:\/\/|mailto:)[!-~]+$/i.test(href) && href.length <= MAX_URL;
    return isKnown ? { url: href } : undefined;
  }
  const [, target = "", , fragment = ""] = /^([^?#]*)(\?[^#]*)?(?:#(.*))?$/s.exec(href) ?? [];
  const place = fragment === "" ? {} : { fragment: decoded(fragment)?.slice(0, 256) };
  if (target === "") return fragment === "" ? undefined : place;
  if (target.startsWith("//")) return undefined;
  const resolved = resolvePath(target, folderOf(path));
  return resolved === undefined ? undefined : { path: resolved, ...place };
}

/** From the folder, or from the shared folder when it begins with a slash. Undefined for what lies above that. */
function resolvePath(target: string, folder: string): string | undefined {
  const names = target.startsWith("/") || folder === "" ? [] : folder.split("/");
  for (const part of target.split("/")) {
    const name = decoded(part);
    if (name === undefined || name.includes("/")) return undefined;
    if (name === "..") {
      if (names.pop() === undefined) return undefined;
    } else if (name !== "" && name !== ".") {
      names.push(name);
    }
  }
  const path = names.join("/");
  return isPath(path) ? path : undefined;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

type Open = { -readonly [K in keyof MarkdownElement]: MarkdownElement[K] } & { children: MarkdownNode[] };

/** Puts tokens, which come in a row, into each other. */
class TreeMaker {
  readonly #path: string;
  readonly #ids = new Map<string, number>();

  constructor(path: string) {
    this.#path = path;
  }

  make(tokens: readonly Token[]): MarkdownNode[] {
    const top: MarkdownNode[] = [];
    /** Undefined stands for an element that is not shown, and whose children are its parent's. */
    const open: (Open | undefined)[] = [];
    const into = () => open.findLast((each) => each !== undefined)?.children ?? top;
    for (const token of tokens) {
      if (token.nesting === 1) {
        const element = this.#elementOf(token);
        if (element) into().push(element);
        open.push(element);
      } else if (token.nesting === -1) {
        const closed = open.pop();
        if (closed && /^h[1-6]$/.test(closed.tag)) closed.id = this.#idOf(textOf(closed.children));
      } else {
        append(into(), this.#leaves(token));
      }
    }
    return top;
  }

  #elementOf(token: Token): Open | undefined {
    const tag = OTHER_TAGS[token.tag] ?? token.tag;
    if (token.hidden || !isTag(tag)) return undefined;
    const element: Open = { tag, children: [] };
    if (tag === "a") {
      const target = resolveLink(token.attrGet("href") ?? "", this.#path);
      return target && withTitle({ ...element, ...target }, token);
    }
    const start = tag === "ol" ? Number(token.attrGet("start") ?? NaN) : NaN;
    if (Number.isInteger(start) && start >= 0) element.start = start;
    const align = /^text-align:(left|center|right)$/.exec(token.attrGet("style") ?? "")?.[1];
    if (align) element.align = align as "left" | "center" | "right";
    return element;
  }

  #leaves(token: Token): MarkdownNode[] {
    switch (token.type) {
      case "inline":
        return this.make(token.children ?? []);
      case "softbreak":
        return ["\n"];
      case "hardbreak":
        return [{ tag: "br" }];
      case "hr":
        return [{ tag: "hr" }];
      case "code_inline":
        return [{ tag: "code", children: [token.content] }];
      case "fence":
      case "code_block":
        return [codeBlock(token)];
      case "image":
        return [this.#image(token)];
      default:
        return token.content === "" ? [] : [token.content];
    }
  }

  /** One from elsewhere is a link: whoever looks at a page does not want to be seen there. */
  #image(token: Token): MarkdownNode {
    const target = resolveLink(token.attrGet("src") ?? "", this.#path);
    const alt = textOf(this.make(token.children ?? []));
    if (target?.path !== undefined) return withTitle({ tag: "img", path: target.path, alt, children: [] }, token);
    return target?.url === undefined ? alt : { tag: "a", url: target.url, children: [alt || target.url] };
  }

  /** Of the heading's words; those of another heading are numbered. */
  #idOf(text: string): string {
    const words = text.toLowerCase().replace(/[^\p{L}\p{N}\s-]/gu, "").trim().replace(/\s+/g, "-").slice(0, 100);
    const count = this.#ids.get(words) ?? 0;
    this.#ids.set(words, count + 1);
    return count === 0 ? words || "section" : `${words}-${count}`;
  }
}

function isTag(tag: string): tag is MarkdownTag {
  return TAGS.has(tag);
}

function withTitle(element: Open, token: Token): Open {
  const title = token.attrGet("title");
  return title ? { ...element, title } : element;
}

function codeBlock({ info, content }: Token): MarkdownElement {
  const language = /^[A-Za-z0-9+#._-]{1,32}/.exec(info.trim())?.[0];
  const code = { tag: "code" as const, children: [content] };
  return { tag: "pre", children: [language === undefined ? code : { ...code, language }] };
}

/** Neighbouring texts become one. */
function append(into: MarkdownNode[], nodes: readonly MarkdownNode[]): void {
  for (const node of nodes) {
    const last = into.at(-1);
    if (typeof node === "string" && typeof last === "string") into[into.length - 1] = last + node;
    else into.push(node);
  }
}

function findHeading(nodes: readonly MarkdownNode[]): MarkdownElement | undefined {
  for (const node of nodes) if (typeof node !== "string" && /^h[1-6]$/.test(node.tag)) return node;
  return undefined;
}

function linksOf(nodes: readonly MarkdownNode[]): MarkdownDocument["links"] {
  const links = new Map<string, string>();
  const visit = (node: MarkdownNode) => {
    if (typeof node === "string" || links.size >= MAX_LINKS) return;
    const { tag, path, children = [] } = node;
    if (tag === "a" && path !== undefined && !links.has(path)) links.set(path, textOf(children).slice(0, 256));
    children.forEach(visit);
  };
  nodes.forEach(visit);
  return [...links].map(([path, text]) => ({ path, text }));
}
