/** The audit log: who did what, what was refused and why, and whether the log is whole. */

import { badge, button, card, notice, when } from "../lib/controls.js";
import { h, replaceChildren } from "../lib/dom.js";
import { searchedSection } from "../lib/searched.js";
import { table } from "../lib/table.js";
import { adminHead } from "../parts/admin_tabs.js";

/** @import { AuditEntryView } from "../../orchestrator/api.ts" */
/** @import { PageContext } from "./routes.js" */
/** @import { Tone } from "../lib/words.js" */

/** @type {Record<AuditEntryView["outcome"], Tone>} */
const tones = { done: "good", refused: "warn", failed: "bad" };

/** @param {PageContext} context */
export function adminAuditPage(context) {
  const { calls, signal } = context;
  const sort = { column: -1, descending: false };
  const { search, element } = searchedSection({
    label: "Find in what is shown",
    signal,
    lines: 8,
    load: async (/** @type {string | undefined} */ before, signal) => {
      const { entries, next } = await calls.audit({ limit: 100, before }, signal);
      return { rows: entries, next };
    },
    textOf: (entry) => Object.values(entry).join(" "),
    show: (rows) => auditTable(rows, sort),
  });
  const verdict = h("div", { role: "status" });
  const verify = button("Verify", async () => replaceChildren(verdict, await verdictOf(context)), { class: "small" });
  return h(
    "div",
    { class: "page" },
    adminHead(
      "/admin/audit",
      "Each entry carries the hash of the one before: nothing can be changed or removed unseen.",
    ),
    card("Audit log", [search, verify], verdict, element),
  );
}

/** @param {PageContext} context */
async function verdictOf({ calls }) {
  const { isWhole, entries, detail } = await calls.verifyAudit();
  const count = `${entries.toLocaleString("en")} ${entries === 1 ? "entry" : "entries"}`;
  return isWhole
    ? notice("good", h("strong", {}, "The log is whole. "), `${count} from the first to the last.`)
    : notice("bad", h("strong", {}, "The log is not whole. "), detail ?? "", ` ${count} looked at.`);
}

/**
 * @param {readonly AuditEntryView[]} rows
 * @param {import("../lib/table.js").Sort} sort
 */
function auditTable(rows, sort) {
  return table({
    caption: "Audit log",
    rows,
    sort,
    none: "Nothing here",
    columns: [
      { title: "When", cell: ({ atMs }) => when(atMs), class: "whole" },
      { title: "Who", cell: ({ actor }) => h("code", {}, actor) },
      { title: "What", sortBy: ({ action }) => action, cell: ({ action }) => breakable(action) },
      { title: "About", cell: ({ subject }) => subject && h("code", {}, subject) },
      { title: "Outcome", sortBy: ({ outcome }) => outcome, cell: ({ outcome }) => badge(outcome, tones[outcome]) },
      { title: "Why", cell: ({ detail }) => detail },
    ],
  });
}

/**
 * A name such as `abuse.target_denied`, broken where its words are when there is no room.
 * @param {string} name
 */
function breakable(name) {
  return h("span", {}, name.split(/(?<=[._])/).flatMap((part, at) => at === 0 ? [part] : [h("wbr"), part]));
}
