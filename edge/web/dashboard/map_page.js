/** The first page: the network as it is now, in figures and on a map, and what happened last. */

import { card } from "../lib/controls.js";
import { h } from "../lib/dom.js";
import { plural } from "../lib/words.js";
import { logList } from "./log_list.js";
import { networkCard } from "./network_card.js";
import { createPanel, withPanel } from "./panel.js";
import { partList } from "./part_list.js";
import { totalsCard } from "./totals.js";

/** @import { PageContext } from "./routes.js" */

const LATEST_LINES = 6;

/** @param {PageContext} context */
export function mapPage(context) {
  const { live, signal } = context;
  const panel = createPanel(context, {
    chosen: ({ id }) => network.mark(id, panel.element),
    closed: () => network.unmark(),
  });
  const network = networkCard({ choose: panel.show, signal });
  const about = h("p", {}, "Connecting…");
  const draw = () => {
    const { view } = live;
    if (!view) return;
    about.textContent = `${plural(view.totals.regions, "region")} · culvert ${view.version}`;
    network.show(view);
  };
  live.addEventListener("view", draw, { signal });
  draw();
  return h(
    "div",
    { class: "page" },
    h("header", { class: "page-head" }, h("div", {}, h("h1", { tabindex: "-1" }, "Network"), about), network.choice),
    totalsCard(live, signal),
    withPanel(
      h(
        "div",
        { class: "page" },
        network.element,
        partList(context),
        card(
          "What happened last",
          h("a", { href: "#/events" }, "All events"),
          logList(context, { most: LATEST_LINES }),
        ),
      ),
      panel.element,
    ),
  );
}
