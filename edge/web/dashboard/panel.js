/**
 * What is known of one thing, beside the page it was chosen on: facts, the sessions through it, what can be done to it. It
 * follows the network while it is open; Escape closes it and gives the focus back.
 */

import { badge } from "../lib/controls.js";
import { h, icon, replaceChildren } from "../lib/dom.js";
import { keepPlace } from "../lib/section.js";
import { contentOf } from "./panel_content.js";

/** @import { PeerRow, SessionRow } from "../../dashboard/api.ts" */
/** @import { PageContext } from "./routes.js" */

/**
 * What is looked at: a peer, supernode or group by its id, or a session by its own.
 * @typedef {{ kind: "place" | "session", id: string }} Choice
 */

/**
 * What was fetched of it, beyond what the map knows.
 * @typedef {{ peer?: PeerRow | undefined, sessions: readonly SessionRow[], total: number }} Fetched
 */

const REFRESHED_MS = 3000;
const MOST_SESSIONS = 8;

/**
 * @param {PageContext} context
 * @param {{ closed: () => void, chosen?: (choice: Choice) => void }} hear
 */
export function createPanel(context, { closed, chosen }) {
  const { live, signal } = context;
  const title = h("h2", { tabindex: "-1" });
  const marks = h("div", { class: "state" });
  const body = h("div", { class: "stack" });
  const close = h(
    "button",
    { type: "button", class: "plain", "aria-label": "Close", on: { click: () => hide() } },
    icon("close"),
  );
  const element = h(
    "aside",
    { class: "panel card", "aria-label": "What was chosen", hidden: true },
    h("header", { class: "panel-head" }, h("div", {}, title, marks), close),
    body,
  );
  /** @type {Choice | undefined} */
  let choice;
  /** @type {Fetched} */
  let fetched = { sessions: [], total: 0 };
  /** Of what is gone from the network since it was chosen. @type {ReturnType<typeof contentOf>} */
  let last;

  function draw() {
    if (!choice || document.querySelector("dialog[open]")) return;
    const now = contentOf(choice, { ...context, fetched, choose: show });
    const content = now ?? last;
    if (now) last = now;
    title.textContent = content?.title ?? "Gone";
    replaceChildren(marks, content?.marks, !now && badge("Gone", "quiet"));
    keepPlace(body, () => replaceChildren(body, content?.body ?? h("p", {}, "It is not there any more.")));
  }

  async function fetchMore() {
    const asked = choice;
    if (!asked || document.visibilityState === "hidden") return;
    const found = await fetchFor(context, asked).catch(() => undefined);
    if (choice !== asked || !found) return;
    fetched = found;
    draw();
  }

  /** @param {Choice} what */
  function show(what) {
    choice = what;
    fetched = { sessions: [], total: 0 };
    last = undefined;
    element.hidden = false;
    body.scrollTop = 0;
    draw();
    title.focus({ preventScroll: true });
    chosen?.(what);
    void fetchMore();
  }

  function hide() {
    if (!choice) return;
    choice = undefined;
    element.hidden = true;
    closed();
  }

  element.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });
  live.addEventListener("view", draw, { signal });
  const timer = setInterval(() => void fetchMore(), REFRESHED_MS);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
  return { element, show, hide };
}

/**
 * @param {PageContext} context
 * @param {Choice} choice
 * @returns {Promise<Fetched>}
 */
async function fetchFor({ client, live, signal }, { kind, id }) {
  if (live.view?.groups.some((group) => group.id === id)) return { sessions: [], total: 0 };
  const [peers, sessions] = await Promise.all([
    kind === "session" ? undefined : client.peers({ search: id, limit: 1 }, signal),
    client.sessions({ search: id, limit: MOST_SESSIONS }, signal),
  ]);
  return { peer: peers?.rows.find(({ peerId }) => peerId === id), sessions: sessions.rows, total: sessions.total };
}

/**
 * A page with its panel beside it, where there is room.
 * @param {Node} content
 * @param {Node} panel
 */
export function withPanel(content, panel) {
  return h("div", { class: "with-panel" }, content, panel);
}
