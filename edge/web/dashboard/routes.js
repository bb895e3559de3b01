/** The pages there are. What follows a `?` in the address is a page's own. */

import { chartsPage } from "./charts_page.js";
import { controlPage } from "./control_page.js";
import { eventsPage } from "./events_page.js";
import { mapPage } from "./map_page.js";
import { peersPage } from "./peers_page.js";
import { sessionsPage } from "./sessions_page.js";

/** @import { Route } from "../lib/router.js" */
/** @import { Client } from "./client.js" */
/** @import { Live } from "./live.js" */

/**
 * What a page is given.
 * @typedef {{ client: Client, live: Live, query: URLSearchParams, signal: AbortSignal }} PageContext
 */

/** @type {readonly { path: string, tab: string, show: (context: PageContext) => Node }[]} */
export const pages = [
  { path: "/", tab: "Map", show: mapPage },
  { path: "/charts", tab: "Charts", show: chartsPage },
  { path: "/peers", tab: "Peers", show: peersPage },
  { path: "/sessions", tab: "Sessions", show: sessionsPage },
  { path: "/control", tab: "Control", show: controlPage },
  { path: "/events", tab: "Events", show: eventsPage },
];

/**
 * @param {Pick<PageContext, "client" | "live">} context
 * @returns {Route[]}
 */
export function pageRoutes(context) {
  const [path = "", search = ""] = location.hash.slice(1).split("?", 2);
  return pages.map((page) => ({
    path: page.path === path && search !== "" ? `${path}?${search}` : page.path,
    title: page.tab,
    show: (signal) => page.show({ ...context, query: new URLSearchParams(search), signal }),
  }));
}
