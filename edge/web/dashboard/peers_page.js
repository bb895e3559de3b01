/** Everybody who is connected, or listed: found by name, id, role, region or state. */

import { badge, when } from "../lib/controls.js";
import { empty } from "../lib/section.js";
import { h } from "../lib/dom.js";
import { short } from "../lib/words.js";
import { placeButton } from "./panel_content.js";
import { rowsPage } from "./rows_page.js";
import { mbps, millis, percent, roles, states } from "./words.js";

/** @import { PeerRow } from "../../dashboard/api.ts" */
/** @import { PageContext } from "./routes.js" */

/** @param {PageContext} context */
export function peersPage(context) {
  return rowsPage(context, {
    path: "/peers",
    title: "Peers",
    about: "Everybody who is here now, supernodes among them.",
    placeholder: "Name, id, role, region or state",
    load: (query, signal) => context.client.peers(query, signal),
    none: empty("Nobody fits", h("p", {}, "Whoever connects shows here at once.")),
    columns: (choose) => [
      {
        title: "Peer",
        name: "name",
        cell: ({ peerId, name }) => placeButton(peerId, name ?? short(peerId), { choose }),
      },
      {
        title: "Role",
        name: "role",
        cell: (/** @type {PeerRow} */ row) => roles[row.role].one,
      },
      { title: "Region", name: "region", cell: ({ region }) => region },
      {
        title: "Connected to",
        name: "supernodeName",
        class: "extra",
        cell: ({ supernodeName, supernodeId }) => supernodeName ?? (supernodeId && short(supernodeId)),
      },
      { title: "State", name: "state", cell: ({ state }) => badge(states[state].label, states[state].tone) },
      { title: "Load", name: "load", isNumber: true, cell: ({ load }) => load !== undefined && percent(load) },
      { title: "Round trip", name: "rttMs", isNumber: true, cell: ({ rttMs }) => rttMs !== undefined && millis(rttMs) },
      {
        title: "Receives",
        name: "rxMbps",
        class: "extra",
        isNumber: true,
        cell: ({ rxMbps }) => rxMbps !== undefined && mbps(rxMbps),
      },
      {
        title: "Sends",
        name: "txMbps",
        class: "extra",
        isNumber: true,
        cell: ({ txMbps }) => txMbps !== undefined && mbps(txMbps),
      },
      { title: "Sessions", name: "sessions", isNumber: true, cell: ({ sessions }) => sessions?.toLocaleString("en") },
      {
        title: "Connected",
        name: "connectedAtMs",
        class: "whole",
        cell: ({ connectedAtMs }) => connectedAtMs !== undefined && when(connectedAtMs),
      },
    ],
  });
}
