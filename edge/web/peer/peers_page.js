/** Other peers: who is there, how they are reached, and the way to their files. */

import { card, when } from "../lib/controls.js";
import { h } from "../lib/dom.js";
import { empty, section } from "../lib/section.js";
import { table } from "../lib/table.js";
import { plural, short } from "../lib/words.js";
import { bridgeButton, wayBadge } from "./head.js";
import { hrefOf, shown } from "./places.js";
import { otherPeers } from "./source.js";

/** @import { OtherPeer } from "../../../protocol/files/owner_api.ts" */
/** @import { PageContext } from "./app.js" */

const REFRESHED_MS = 10_000;

/** @param {PageContext} context */
export function peersPage({ self, signal }) {
  const { element } = section({
    signal,
    everyMs: REFRESHED_MS,
    load: otherPeers,
    show: ({ peers }) => peerTable(peers),
  });
  return h(
    "div",
    { class: "page" },
    h(
      "header",
      { class: "page-head" },
      h(
        "div",
        {},
        h("h1", { tabindex: "-1" }, "Peers"),
        h("p", {}, "Others who share files. What goes between you is sealed from end to end, whichever way it takes."),
      ),
    ),
    h("section", { class: "card" }, element),
    card(
      "This peer",
      undefined,
      h(
        "dl",
        { class: "facts" },
        fact("Called", self.label),
        h("div", { class: "wide" }, h("dt", {}, "Peer id"), h("dd", {}, h("code", {}, self.peerId))),
        fact("Files", plural(self.index.files, "file")),
        fact("Version", self.version),
      ),
    ),
  );
}

/**
 * @param {string} name
 * @param {import("../lib/dom.js").Child} value
 */
function fact(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

/** @param {readonly OtherPeer[]} peers */
function peerTable(peers) {
  const ordered = peers.toSorted((one, other) =>
    Number(other.isOnline) - Number(one.isOnline) || one.label.localeCompare(other.label)
  );
  return table({
    caption: "Peers",
    rows: ordered,
    none: empty(
      "Nobody else is here yet",
      "Start another peer with the same tracker, or open a ticket somebody gave you.",
    ),
    columns: [
      {
        title: "Peer",
        cell: ({ peerId, label }) => [
          h(
            "a",
            { class: "peer", href: hrefOf({ kind: "folder", path: "", peerId }), data: { key: peerId } },
            h("bdi", {}, shown(label)),
          ),
          " ",
          h("code", { class: "soft small-text", title: peerId }, short(peerId)),
        ],
      },
      {
        title: "Way",
        class: "whole",
        cell: (peer) => [wayBadge(peer), peer.rttMs !== undefined && ` ${Math.round(peer.rttMs)} ms`],
      },
      { title: "Region", cell: ({ region }) => region },
      { title: "Seen", cell: ({ seenAtMs }) => seenAtMs !== undefined && when(seenAtMs) },
      {
        title: "",
        class: "row-actions",
        cell: ({ peerId, isOnline }) => isOnline && h("div", { class: "actions" }, bridgeButton(peerId)),
      },
    ],
  });
}
