/** The frame around every page: what is looked at, ways to the pages, and whether what is seen is of now. */

import { h, icon, replaceChildren } from "../lib/dom.js";
import { themeButton } from "../lib/theme.js";
import { liveness, troubleBanner } from "./liveness.js";
import { pages } from "./routes.js";

/** @import { Route } from "../lib/router.js" */
/** @import { Live } from "./live.js" */

/** @param {{ live: Live, signal: AbortSignal, logOut: () => void }} options */
export function frame({ live, signal, logOut }) {
  const main = h("main", { id: "main", tabindex: "-1" });
  const tabs = h("ul", { class: "tabs" });
  const title = h("span", {}, "Culvert");
  live.addEventListener("view", () => title.textContent = live.view?.title ?? "Culvert", { signal });
  const element = h(
    "div",
    {},
    h(
      "header",
      { class: "bar" },
      h(
        "div",
        { class: "bar-inner" },
        h("a", { class: "brand", href: "#/" }, h("img", { src: "/web/icon.svg", alt: "" }), title),
        h("nav", { "aria-label": "Pages" }, tabs),
        h("div", { class: "end" }, liveness(live, signal), themeButton(), logOutButton(logOut)),
      ),
    ),
    troubleBanner(live, signal),
    main,
  );

  /** @param {Route} route */
  function changed({ path }) {
    const here = path.split("?", 1)[0];
    replaceChildren(
      tabs,
      pages.map((page) =>
        h(
          "li",
          {},
          h("a", { href: `#${page.path}`, "aria-current": page.path === here ? "page" : undefined }, page.tab),
        )
      ),
    );
    // On a phone there is not room for all of them.
    tabs.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }
  return { element, main, changed };
}

/** @param {() => void} logOut */
function logOutButton(logOut) {
  return h(
    "button",
    { type: "button", class: "plain", "aria-label": "Log out", title: "Log out", on: { click: logOut } },
    icon("out"),
  );
}
