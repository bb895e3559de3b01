/** Every session there is: whose it is, which exit it uses, how it fares. */

import { when } from "../lib/controls.js";
import { h } from "../lib/dom.js";
import { empty } from "../lib/section.js";
import { short } from "../lib/words.js";
import { endSessionButton, isPossible } from "./deeds.js";
import { placeButton, sessionBadge } from "./panel_content.js";
import { rowsPage } from "./rows_page.js";

/** @import { SessionRow } from "../../dashboard/api.ts" */
/** @import { PageContext } from "./routes.js" */

/** @param {PageContext} context */
export function sessionsPage(context) {
  return rowsPage(context, {
    path: "/sessions",
    title: "Sessions",
    about: "One client's use of one exit each.",
    placeholder: "Id, client, exit, region or state",
    load: (query, signal) => context.client.sessions(query, signal),
    none: empty("No session fits", h("p", {}, "Each client that uses an exit has one.")),
    columns: (choose) => [
      {
        title: "Session",
        name: "sessionId",
        cell: (/** @type {SessionRow} */ { sessionId }) =>
          h(
            "button",
            {
              type: "button",
              class: "link",
              data: { key: `session-${sessionId}` },
              on: { click: () => choose({ kind: "session", id: sessionId }) },
            },
            h("code", {}, short(sessionId)),
          ),
      },
      {
        title: "Client",
        name: "clientName",
        cell: ({ clientPeerId, clientName }) =>
          placeButton(clientPeerId, clientName ?? short(clientPeerId), { choose }),
      },
      {
        title: "Exit",
        name: "exitName",
        cell: ({ exitPeerId, exitName }) =>
          exitPeerId === undefined ? "none yet" : placeButton(exitPeerId, exitName ?? short(exitPeerId), { choose }),
      },
      { title: "Region", name: "exitRegion", cell: ({ exitRegion }) => exitRegion },
      { title: "State", name: "state", cell: sessionBadge },
      {
        title: "Carries",
        name: "carries",
        class: "extra",
        cell: ({ carries, relay }) => relay === undefined ? carries : `${carries}, ${relay}`,
      },
      { title: "Began", name: "createdAtMs", class: "whole extra", cell: ({ createdAtMs }) => when(createdAtMs) },
      { title: "Good until", name: "expiresAtMs", class: "whole", cell: ({ expiresAtMs }) => when(expiresAtMs) },
      ...isPossible(context, "end_session")
        ? [{
          title: "",
          class: "row-actions",
          cell: (/** @type {SessionRow} */ row) =>
            h(
              "div",
              { class: "actions" },
              endSessionButton(context, row.sessionId, row.clientName ?? short(row.clientPeerId)),
            ),
        }]
        : [],
    ],
  });
}
