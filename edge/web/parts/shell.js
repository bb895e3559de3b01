/**
 * The frame around every page: name, ways to the other pages, who is signed in.
 */

import { h, icon, replaceChildren } from "../lib/dom.js";
import { themeButton } from "../lib/theme.js";
import { routesFor } from "../pages/routes.js";

/** @import { InfoView } from "../../orchestrator/api.ts" */
/** @import { Calls } from "../calls.js" */
/** @import { Route } from "../lib/router.js" */

/**
 * @param {{ calls: Calls, info: InfoView }} options
 */
export function shell({ calls, info }) {
  const main = h("main", { id: "main", tabindex: "-1" });
  const tabs = h("ul", { class: "tabs" });
  const who = h("span", { class: "who" });
  const signOut = h(
    "button",
    {
      type: "button",
      class: "plain",
      "aria-label": "Sign out",
      title: "Sign out",
      on: { click: () => void calls.client.signOut().catch(() => {}) },
    },
    icon("out"),
  );
  let current = "";

  /** Ways to pages change with the account's roles. */
  function refresh() {
    who.textContent = calls.client.user?.name ?? "";
    const top = routesFor({ calls, info, rolesChanged: () => Promise.resolve() }).filter(({ tab }) =>
      tab !== undefined
    );
    replaceChildren(
      tabs,
      top.map(({ path, tab }) => {
        const isHere = current === path || current.startsWith(`${path}/`);
        return h("li", {}, h("a", { href: `#${path}`, "aria-current": isHere ? "page" : undefined }, tab));
      }),
    );
  }

  refresh();
  const element = h(
    "div",
    {},
    h(
      "header",
      { class: "bar" },
      h(
        "div",
        { class: "bar-inner" },
        h("a", { class: "brand", href: "#/use" }, h("img", { src: "/web/icon.svg", alt: "" }), info.title),
        h("nav", { "aria-label": "Pages" }, tabs),
        h("div", { class: "end" }, who, themeButton(), signOut),
      ),
    ),
    main,
  );
  return {
    element,
    main,
    refresh,
    /** @param {Route} route */
    changed(route) {
      current = route.path;
      refresh();
    },
  };
}

/**
 * The head of a page; its title takes the focus when the page is come to.
 * @param {string} title
 * @param {import("../lib/dom.js").Child} about
 * @param {import("../lib/dom.js").Child[]} actions
 */
export function pageHead(title, about, ...actions) {
  return h(
    "header",
    { class: "page-head" },
    h("div", {}, h("h1", { tabindex: "-1" }, title), about && h("p", {}, about)),
    h("div", { class: "actions" }, actions),
  );
}
