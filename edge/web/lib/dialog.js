/**
 * Dialogs: a form over the page, on the browser's own `<dialog>` (it holds the focus, closes on Escape and gives the
 * focus back). While what was asked for is under way its button waits; what goes wrong is said inside.
 */

import { append, h, icon, uniqueId } from "./dom.js";

/** @typedef {import("./dom.js").Child} Child */

/**
 * Asks for something and does it.
 * @param {{
 *   title: string,
 *   body: Child,
 *   action?: string,
 *   tone?: "bad",
 *   submit?: (values: Record<string, string>) => Promise<unknown>,
 * }} options without `submit` it only tells something
 * @returns {Promise<boolean>} whether it was done
 */
export function dialog({ title, body, action = "OK", tone, submit }) {
  const titleId = uniqueId();
  const problem = h("p", { class: "notice bad", role: "alert", hidden: true });
  const done = h("button", { type: "submit", class: tone === "bad" ? "primary bad" : "primary" }, action);
  const element = h("dialog", { "aria-labelledby": titleId });
  const close = () => element.close();
  const form = h(
    "form",
    { novalidate: false },
    h(
      "header",
      {},
      h("h2", { id: titleId }, title),
      h("button", { type: "button", class: "plain", "aria-label": "Close", on: { click: close } }, icon("close")),
    ),
    h("div", { class: "dialog-body" }, body, problem),
    h("footer", {}, submit && h("button", { type: "button", on: { click: close } }, "Cancel"), done),
  );
  element.append(form);
  append(document.body, [element]);
  let isDone = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    try {
      await whileBusy(done, async () => await submit?.(valuesOf(form)));
      isDone = true;
      close();
    } catch (error) {
      problem.textContent = error instanceof Error ? error.message : String(error);
      problem.hidden = false;
    }
  });
  element.showModal();
  return new Promise((resolve) =>
    element.addEventListener("close", () => {
      element.remove();
      resolve(isDone);
    }, { once: true })
  );
}

/**
 * What a form's fields hold, by name.
 * @param {HTMLFormElement} form
 * @returns {Record<string, string>}
 */
export function valuesOf(form) {
  return Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]));
}

/**
 * The button cannot be pressed again until the work is over.
 * @param {HTMLButtonElement} button
 * @param {() => Promise<unknown>} work
 */
export async function whileBusy(button, work) {
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  try {
    return await work();
  } finally {
    button.disabled = false;
    button.removeAttribute("aria-busy");
  }
}
