/**
 * Where the pages of a peer server begin: asks whose it is and what may be seen of it, then shows the place that the address
 * names. What only the owner may ask for (other peers) is offered to the owner alone.
 */

import { replaceChildren } from "../lib/dom.js";
import { createRouter } from "../lib/router.js";
import { failure } from "../lib/section.js";
import { filePage } from "./file_page.js";
import { findPage } from "./find_page.js";
import { folderPage } from "./folder_page.js";
import { frame } from "./frame.js";
import { peersPage } from "./peers_page.js";
import { hrefOf, nameOf, placeOf } from "./places.js";
import { sentPage } from "./sent_page.js";
import { otherPeers, Source } from "./source.js";

/** @import { PeerSelf } from "../../../protocol/files/listing.ts" */
/** @import { Place } from "./places.js" */

/**
 * What a page is given. `choices`: how the reader wants lists to be sorted, from page to page.
 * @typedef {{
 *   self: PeerSelf,
 *   isOwner: boolean,
 *   choices: { sort: "name" | "size" | "modified", order: "up" | "down" },
 *   signal: AbortSignal,
 * }} PageContext
 */

const app = /** @type {HTMLElement} */ (document.getElementById("app"));

async function start() {
  try {
    const own = new Source();
    // A guest's door knows nothing of other peers.
    const [self, isOwner] = await Promise.all([own.self(undefined), otherPeers().then(() => true, () => false)]);
    if (location.hash === "") history.replaceState(null, "", hrefOf(await homeOf(own, self)));
    showPages(self, isOwner);
  } catch (error) {
    replaceChildren(app, failure(error, () => void start()));
  }
}

/**
 * Where there is something to see: a guest may have been shown one folder, or one file.
 * @param {Source} own
 * @param {PeerSelf} self
 * @returns {Promise<Place>}
 */
async function homeOf(own, { scope: path }) {
  if (path === "") return { kind: "folder", path };
  const isFolder = await own.folder(path, { query: { limit: 1 } }).then(() => true, () => false);
  return { kind: isFolder ? "folder" : "file", path };
}

/**
 * @param {PeerSelf} self
 * @param {boolean} isOwner
 */
function showPages(self, isOwner) {
  const { element, main, changed } = frame({ self, isOwner });
  /** @type {PageContext["choices"]} */
  const choices = { sort: "name", order: "up" };
  app.replaceChildren(element);
  createRouter({
    routes: () => {
      const place = placeOf(location.hash);
      return [{
        path: hrefOf(place).slice(1),
        title: titleOf(place, self),
        show: (signal) => pageAt(place, { self, isOwner, choices, signal }),
      }];
    },
    place: main,
    changed: () => changed(placeOf(location.hash)),
  }).show({ isFirst: true });
}

/**
 * @param {Place} place
 * @param {PageContext} context
 */
function pageAt(place, context) {
  switch (place.kind) {
    case "folder":
      return folderPage(place, context);
    case "file":
      return filePage(place, context);
    case "find":
      return findPage(place, context);
    case "peers":
      return peersPage(context);
    case "sent":
      return sentPage(context);
  }
}

/**
 * @param {Place} place
 * @param {PeerSelf} self
 */
function titleOf(place, self) {
  if (place.kind === "peers") return "Peers";
  if (place.kind === "sent") return "Sent";
  if (place.kind === "find") return `Search: ${place.query}`;
  return place.path === "" ? self.label : nameOf(place.path);
}

void start();
