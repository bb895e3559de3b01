/**
 * A folder: what it says of itself (`index.md`), and what is in it, sorted as the reader likes. It follows what happens there.
 */

import { button } from "../lib/controls.js";
import { h } from "../lib/dom.js";
import { empty, section } from "../lib/section.js";
import { plural } from "../lib/words.js";
import { entryList } from "./entries.js";
import { bridgeButton, fileHead, searchForm } from "./head.js";
import { markdownView } from "./markdown.js";
import { atMostEvery, follow } from "./news.js";
import { nameOf, shown } from "./places.js";
import { Source } from "./source.js";
import { uploads } from "./upload.js";

/** @import { Entry, FolderPage } from "../../../protocol/files/listing.ts" */
/** @import { PageContext } from "./app.js" */
/** @import { FilePlace } from "./places.js" */

const PAGE = 200;
/** As many as the server gives at once. */
const MAX_PAGE = 1000;
const NEWS_APART_MS = 500;
/** Of a folder of another peer. */
const REFRESHED_MS = 30_000;
const ABOUT_NAME = "index.md";

/**
 * @param {FilePlace} place
 * @param {PageContext} context
 */
export function folderPage({ path, peerId }, context) {
  const { self, signal } = context;
  const isOwn = peerId === undefined;
  const source = new Source(peerId);
  const count = h("span");
  const about = aboutFolder(source, path, signal);
  const listing = listingSection({ source, path, context, count, about });
  const actions = h("div", { class: "actions" }, !isOwn && context.isOwner && bridgeButton(peerId));
  const uploaded = h("div", { class: "upload-place" });
  const offerUploads = () => {
    const { button, element } = uploads({ source, path, signal, done: () => void listing.reload() });
    actions.append(button);
    uploaded.append(element);
  };
  if (!isOwn) source.self(signal).then(({ upload }) => upload && !signal.aborted && offerUploads(), () => {});
  else if (self.upload) offerUploads();
  // Other peers' news do not come this far.
  if (isOwn) follow({ changed: atMostEvery(listing.reload, NEWS_APART_MS, signal) }, signal);
  return h(
    "div",
    { class: "page" },
    fileHead({
      source,
      path,
      context,
      title: titleOf(path, isOwn ? self.label : "Shared files"),
      about: count,
      actions: [searchForm(source), actions],
    }),
    uploaded,
    about.element,
    h("section", { class: "card listing" }, listing.element),
  );
}

/**
 * @param {string} path
 * @param {string} whole
 */
function titleOf(path, whole) {
  return h("bdi", {}, path === "" ? whole : shown(nameOf(path)));
}

/**
 * What the folder's own text says, once it is known that there is one.
 * @param {Source} source
 * @param {string} path
 * @param {AbortSignal} signal
 */
function aboutFolder(source, path, signal) {
  const element = h("div", { class: "section" });
  const at = path === "" ? ABOUT_NAME : `${path}/${ABOUT_NAME}`;
  let shown = 0;
  return {
    element,
    /** @param {number} modifiedMs of the text, so that it is drawn anew only when it is another */
    async show(modifiedMs) {
      if (shown === modifiedMs) return;
      shown = modifiedMs;
      const text = await source.markdown(at, signal).catch(() => undefined);
      if (text && !signal.aborted) {
        element.replaceChildren(h("section", { class: "card" }, markdownView(text.nodes, { source, path: at })));
      }
    },
    hide() {
      shown = 0;
      element.replaceChildren();
    },
  };
}

/**
 * @param {{
 *   source: Source,
 *   path: string,
 *   context: PageContext,
 *   count: HTMLElement,
 *   about: ReturnType<typeof aboutFolder>,
 * }} options
 */
function listingSection({ source, path, context: { choices, signal }, count, about }) {
  /** @type {readonly Entry[]} */
  let entries = [];
  /** @type {string | undefined} */
  let next;

  /** @param {{ limit: number, after?: string | undefined }} part */
  function load({ limit, after }) {
    const { sort, order } = choices;
    return source.folder(path, { signal, query: { sort, order, limit, after } });
  }

  const { element, reload } = section({
    signal,
    lines: 8,
    ...source.peerId !== undefined && { everyMs: REFRESHED_MS },
    load: () => load({ limit: Math.min(MAX_PAGE, Math.max(PAGE, entries.length)) }),
    show: (page) => {
      ({ entries, next } = page);
      count.textContent = plural(page.total, "entry", "entries");
      const text = entries.find(({ name }) => name === ABOUT_NAME);
      if (text) void about.show(text.modifiedMs);
      else about.hide();
      return listed(page);
    },
  });

  /** @param {FolderPage} page */
  function listed({ total }) {
    if (total === 0) return empty("This folder is empty");
    const place = h("div", { class: "stack" });
    const draw = () => {
      const list = entryList({
        source,
        caption: "Files and folders",
        entries: entries.map((entry) => ({ ...entry, path: path === "" ? entry.name : `${path}/${entry.name}` })),
        sorting: { ...choices, choose },
      });
      place.replaceChildren(list);
      if (next !== undefined) {
        place.append(button(`Show more of ${total.toLocaleString("en")}`, more, { class: "more" }));
      }
    };
    const more = async () => {
      const page = await load({ limit: MAX_PAGE, after: next });
      entries = [...entries, ...page.entries];
      next = page.next;
      draw();
    };
    draw();
    return place;
  }

  /** @param {PageContext["choices"]["sort"]} column */
  function choose(column) {
    const isSame = choices.sort === column;
    choices.order = isSame ? choices.order === "up" ? "down" : "up" : column === "name" ? "up" : "down";
    choices.sort = column;
    entries = [];
    void reload();
  }

  return { element, reload };
}
