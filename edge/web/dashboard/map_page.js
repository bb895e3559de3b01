/** The first page: the network as it is. */

import { h } from "../lib/dom.js";

/** @import { PageContext } from "./routes.js" */

/** @param {PageContext} context */
export function mapPage({ live }) {
  return h("div", { class: "page" }, h("h1", { tabindex: "-1" }, live.view?.title ?? "Network"));
}
