/**
 * Whether what is seen is of now: a dot in the page's head, and a banner when the server does not answer, which says from when
 * what is seen is. A pause of less than a moment is not worth a banner.
 */

import { h, icon } from "../lib/dom.js";

/** @import { Live } from "./live.js" */

const PATIENCE_MS = 700;

/**
 * @param {Live} live
 * @param {AbortSignal} signal
 */
export function liveness(live, signal) {
  const words = h("span", {});
  const element = h("span", { class: "liveness" }, words);
  const labels = { connecting: "Connecting", live: "Live", away: "Not answering" };
  const draw = () => {
    const { state, trouble } = live;
    element.dataset["state"] = state === "live" && trouble ? "away" : state;
    words.textContent = state === "live" && trouble ? "Old" : labels[state];
  };
  live.addEventListener("state", draw, { signal });
  draw();
  return element;
}

/**
 * @param {Live} live
 * @param {AbortSignal} signal
 */
export function troubleBanner(live, signal) {
  const words = h("p", {});
  const banner = h("div", { class: "trouble", hidden: true }, icon("alert"), words);
  // What is read out must be there before there is anything to read.
  const element = h("div", { role: "status" }, banner);
  /** @type {number | undefined} */
  let timer;
  const draw = () => {
    clearTimeout(timer);
    const text = troubleText(live);
    if (text === undefined) banner.hidden = true;
    else if (!banner.hidden) words.textContent = text;
    else {
      timer = setTimeout(() => {
        words.textContent = text;
        banner.hidden = false;
      }, PATIENCE_MS);
    }
  };
  live.addEventListener("state", draw, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  return element;
}

/**
 * @param {Pick<Live, "state" | "trouble" | "view" | "heardAtMs">} live
 * @returns {string | undefined}
 */
export function troubleText({ state, trouble, view, heardAtMs }) {
  const from = heardAtMs === undefined ? "" : ` What you see is from ${clockTime(heardAtMs)}.`;
  if (state === "live") return trouble === undefined ? undefined : `${trouble}${from}`;
  if (state === "connecting") return undefined;
  if (trouble) return `${trouble} Trying again…${from}`;
  const names = { up: "culvert up", supernode: "The supernode", base: "The base" };
  return `${view ? names[view.kind] : "The server"} does not answer. Trying again…${from}`;
}

/** @param {number} atMs */
export function clockTime(atMs) {
  return new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" }).format(atMs);
}
