/** What charts on uPlot have in common: fetching it, and the page's own colours on a canvas. */

import { h } from "./dom.js";

/** Only pages with a chart fetch it. Its files are the package's own. */
export async function loadUplot() {
  /** @type {{ default: typeof import("uplot") }} */
  const module = await import(new URL("./uplot.js", import.meta.url).href);
  return module.default;
}

/**
 * A canvas knows no variables: what a colour is in the end only a styled element tells.
 * @param {HTMLElement} place
 * @param {string} color
 */
export function resolvedColor(place, color) {
  const probe = h("span");
  probe.style.color = color;
  place.append(probe);
  const { color: value } = getComputedStyle(probe);
  probe.remove();
  return value;
}

/**
 * Keeps a plot as wide as its place and in the page's colours.
 * @param {{
 *   place: HTMLElement,
 *   heightPx: number,
 *   make: () => import("uplot"),
 *   signal: AbortSignal,
 * }} options `make` draws it anew
 */
export function keepPlotted({ place, heightPx, make, signal }) {
  /** @type {import("uplot") | undefined} */
  let plot;
  const redraw = () => {
    plot?.destroy();
    place.replaceChildren();
    if (place.clientWidth > 0) plot = make();
  };
  const resized = new ResizeObserver(() => {
    if (!plot) redraw();
    else if (place.clientWidth > 0) plot.setSize({ width: place.clientWidth, height: heightPx });
  });
  resized.observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw, { signal });
  document.addEventListener("themechange", redraw, { signal });
  signal.addEventListener("abort", () => {
    resized.disconnect();
    plot?.destroy();
  }, { once: true });
}
