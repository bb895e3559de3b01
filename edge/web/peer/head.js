/** The head of a page about files: whose they are and how they are reached, the way from the top, search. */

import { badge, button, copyable } from "../lib/controls.js";
import { dialog } from "../lib/dialog.js";
import { h, icon, replaceChildren } from "../lib/dom.js";
import { short } from "../lib/words.js";
import { hrefOf, nameOf, shown, wayTo } from "./places.js";
import { openBridge, otherPeers } from "./source.js";

/** @import { PageContext } from "./app.js" */
/** @import { Source } from "./source.js" */
/** @typedef {import("../lib/dom.js").Child} Child */

const WAY_LOOKED_AT_MS = 10_000;

/**
 * @param {{
 *   source: Source,
 *   path: string,
 *   title: Child,
 *   about?: Child,
 *   actions?: Child,
 *   context: PageContext,
 *   tail?: string,
 * }} options `tail`: what lies beyond the path
 */
export function fileHead({ source, path, title, about, actions, context, tail }) {
  return h(
    "header",
    { class: "file-head" },
    crumbs(source, path, { context, tail }),
    h(
      "div",
      { class: "page-head" },
      h("div", { class: "title" }, h("h1", { tabindex: "-1" }, title), about && h("p", {}, about)),
      h("div", { class: "actions" }, actions),
    ),
  );
}

/**
 * @param {Source} source
 * @param {string} path
 * @param {{ context: PageContext, tail?: string | undefined }} options
 */
function crumbs(source, path, { context: { self, signal }, tail }) {
  const { peerId } = source;
  const scope = peerId === undefined ? self.scope : "";
  const top = h("span", {}, peerId === undefined ? self.label : short(peerId));
  const steps = [
    { href: hrefOf({ kind: "folder", path: scope, peerId }), name: top },
    ...wayTo(path).filter((each) => each.length > scope.length)
      .map((each) => ({ href: hrefOf({ kind: "folder", path: each, peerId }), name: shown(nameOf(each)) })),
    ...tail === undefined ? [] : [{ href: "", name: tail }],
  ];
  const way = peerId === undefined ? undefined : wayView(peerId, signal);
  if (way) {
    // Once it has answered, there is a way to it.
    source.self(signal).then(({ label }) => {
      top.textContent = shown(label);
      way.look();
    }, () => {});
  }
  // The title says as much.
  if (peerId === undefined && steps.length === 1) return undefined;
  return h(
    "nav",
    { "aria-label": "Where this is", class: "crumbs" },
    h(
      "ol",
      {},
      peerId !== undefined && h("li", {}, h("a", { href: "#/peers" }, "Peers")),
      steps.map(({ href, name }, at) =>
        h(
          "li",
          {},
          at === steps.length - 1
            ? h("span", { "aria-current": "page" }, name)
            : h("a", { href, data: at === steps.length - 2 ? { up: "" } : {} }, name),
        )
      ),
    ),
    way?.element,
  );
}

/**
 * How another peer is reached, kept up to date: a relayed connection may become a direct one.
 * @param {string} peerId
 * @param {AbortSignal} signal
 */
function wayView(peerId, signal) {
  const element = h("span", { class: "way" });
  const look = async () => {
    const { peers } = await otherPeers(signal);
    const peer = peers.find((each) => each.peerId === peerId);
    replaceChildren(element, wayBadge(peer), peer?.rttMs !== undefined && `${Math.round(peer.rttMs)} ms`);
  };
  const lookIfSeen = () => {
    if (document.visibilityState === "visible") void look().catch(() => {});
  };
  lookIfSeen();
  const timer = setInterval(lookIfSeen, WAY_LOOKED_AT_MS);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
  return { element, look: lookIfSeen };
}

/**
 * @param {{ way?: "direct" | "relayed" | undefined, via?: string | undefined, isOnline: boolean } | undefined} peer
 */
export function wayBadge(peer) {
  if (peer?.way === "direct") return titled(badge("direct", "good"), `Connected directly: ${peer.via ?? ""}`);
  if (peer?.way === "relayed") {
    return titled(badge("relayed", "info"), `Through the relay ${peer.via ?? ""}, which sees nothing of it`);
  }
  return peer?.isOnline ? badge("not connected", "quiet") : badge("away", "quiet");
}

/**
 * @param {HTMLElement} element
 * @param {string} title
 */
function titled(element, title) {
  element.title = title;
  return element;
}

/**
 * @param {Source} source
 * @param {string} [query]
 */
export function searchForm({ peerId }, query = "") {
  const field = h("input", {
    type: "search",
    name: "q",
    value: query,
    maxlength: 256,
    autocomplete: "off",
    placeholder: "Search files",
    "aria-label": "Search files",
  });
  const form = h(
    "form",
    { role: "search", class: "search" },
    field,
    h("button", { "aria-label": "Search" }, icon("search")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = field.value.trim();
    if (wanted !== "") location.hash = hrefOf({ kind: "find", query: wanted, peerId });
  });
  return form;
}

/**
 * Asks for a URL of this machine that leads to the peer, and tells it.
 * @param {string} peerId
 */
export function bridgeButton(peerId) {
  return button([icon("link"), "Local address"], async () => {
    const { url, way } = await openBridge(peerId);
    await dialog({
      title: "Local address",
      action: "Done",
      body: [
        h("p", {}, "Programs on this machine reach the other peer's files here, ", way, ", for as long as yours runs."),
        copyable("address", url),
      ],
    });
  }, { label: "Local address" });
}
