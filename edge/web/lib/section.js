/**
 * A part of a page that shows what a call answers: first that it is loading, then the answer, or what went wrong with a
 * button to try again. What is shown stays while a newer answer is fetched.
 */

import { h, icon, replaceChildren } from "./dom.js";

/** @typedef {import("./dom.js").Child} Child */

/**
 * @template T
 * @param {{
 *   load: (signal: AbortSignal) => Promise<T>,
 *   show: (answer: T, reload: () => Promise<void>) => Child,
 *   signal: AbortSignal,
 *   class?: string,
 *   lines?: number,
 *   everyMs?: number,
 * }} options `signal`: of the page; `lines`: how much room it takes while loading; `everyMs`: fetched anew as often,
 *   while the page can be seen
 */
export function section({ load, show, signal, lines = 3, everyMs, class: className }) {
  const element = h("div", { class: `section ${className ?? ""}`, "aria-busy": "true" }, skeleton(lines));
  let hasAnswer = false;
  let turn = 0;

  const reload = () => renew(() => true);

  /** @param {() => boolean} isWelcome whether the answer may be shown when it has come */
  async function renew(isWelcome) {
    const mine = ++turn;
    element.setAttribute("aria-busy", "true");
    try {
      const answer = await load(signal);
      if (mine !== turn || signal.aborted) return;
      if (isWelcome()) {
        keepPlace(element, () => replaceChildren(element, show(answer, reload)));
        hasAnswer = true;
      }
    } catch (error) {
      if (mine !== turn || signal.aborted) return;
      showFailure(error);
    }
    element.setAttribute("aria-busy", "false");
  }

  /** @param {unknown} error */
  function showFailure(error) {
    const notice = failure(error, () => void reload());
    if (!hasAnswer) replaceChildren(element, notice);
    // What was known before is better than nothing, so long as it is said to be old.
    else if (!element.querySelector(":scope > .failure")) element.prepend(notice);
  }

  void reload();
  if (everyMs !== undefined) repeat(() => renew(isNobodyBusy), everyMs, signal);
  return { element, reload };
}

/**
 * What went wrong, said where it was asked for.
 * @param {unknown} error
 * @param {(() => void) | undefined} [retry]
 */
export function failure(error, retry) {
  const text = error instanceof Error ? error.message : String(error);
  return h(
    "div",
    { class: "notice bad failure", role: "alert" },
    icon("alert"),
    h("div", {}, h("strong", {}, "This could not be loaded."), " ", text),
    retry && h("button", { type: "button", class: "small", on: { click: retry } }, "Try again"),
  );
}

/**
 * What to show where there is nothing yet: what would be here, and what to do about it.
 * @param {string} title
 * @param {Child[]} children
 */
export function empty(title, ...children) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), ...children);
}

/** @param {number} lines */
function skeleton(lines) {
  return h(
    "div",
    { class: "skeleton" },
    h("span", { class: "for-readers" }, "Loading"),
    Array.from({ length: lines }, () => h("span", { class: "bone", "aria-hidden": "true" })),
  );
}

/**
 * @param {() => Promise<void>} reload
 * @param {number} everyMs
 * @param {AbortSignal} signal
 */
function repeat(reload, everyMs, signal) {
  const timer = setInterval(() => {
    if (document.visibilityState === "visible" && isNobodyBusy()) void reload();
  }, everyMs);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

/** Under a dialog nothing moves: the focus goes back to where it was opened from. */
function isNobodyBusy() {
  return document.querySelector("dialog[open]") === null;
}

/**
 * Draws anew without taking anything from whoever is in the middle of something: the focus goes to the element of the same
 * `data-key`, and what was unfolded stays so.
 * @param {Element} element
 * @param {() => void} draw
 */
export function keepPlace(element, draw) {
  const active = document.activeElement;
  const key = active instanceof HTMLElement && element.contains(active) ? active.dataset["key"] : undefined;
  const unfolded = [...element.querySelectorAll("details[open][data-key]")].map((each) =>
    /** @type {HTMLElement} */ (each).dataset["key"]
  );
  draw();
  for (const details of element.querySelectorAll("details")) details.open ||= unfolded.includes(details.dataset["key"]);
  if (key === undefined) return;
  const next = element.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (next instanceof HTMLElement) next.focus({ preventScroll: true });
}
