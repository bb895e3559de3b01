/**
 * Short words about what was just done, read out and gone by themselves. Nothing is told here alone that one must know.
 */

import { h } from "./dom.js";

const SHOWN_MS = 4000;

/**
 * @param {string} text
 * @param {{ tone?: "good" | "bad" }} [options]
 */
export function toast(text, { tone = "good" } = {}) {
  const place = document.getElementById("toasts") ?? document.body;
  const element = h("p", { class: `toast ${tone}` }, text);
  place.append(element);
  setTimeout(() => element.remove(), SHOWN_MS);
}
