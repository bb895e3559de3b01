/** The head of every admin page: ways to the others, and what waits there. */

import { h } from "../lib/dom.js";
import { pageHead } from "./shell.js";

const pages = [
  { path: "/admin", label: "Nodes" },
  { path: "/admin/accounts", label: "Accounts" },
  { path: "/admin/payouts", label: "Payouts" },
  { path: "/admin/audit", label: "Audit log" },
];

/**
 * @param {string} path
 * @param {string} about
 * @param {import("../lib/dom.js").Child[]} actions
 */
export function adminHead(path, about, ...actions) {
  const here = pages.find((page) => page.path === path);
  return [
    h(
      "nav",
      { class: "subtabs", "aria-label": "Admin pages" },
      h(
        "ul",
        { class: "tabs" },
        pages.map((page) =>
          h(
            "li",
            {},
            h("a", { href: `#${page.path}`, "aria-current": page.path === path ? "page" : undefined }, page.label),
          )
        ),
      ),
    ),
    pageHead(here?.label ?? "", about, actions),
  ];
}
