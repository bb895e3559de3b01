/**
 * What pages are made of: badges, fields with a label and a hint, values with a button that copies them, figures.
 */

import { h, icon, replaceChildren, uniqueId } from "./dom.js";
import { money } from "./money.js";
import { toast } from "./toast.js";
import { ago, moment } from "./words.js";

/** @typedef {import("./dom.js").Child} Child */
/** @typedef {import("./words.js").Tone} Tone */

/** @type {Record<Tone, import("./dom.js").IconName>} */
const noticeIcons = { good: "check", warn: "alert", bad: "alert", info: "info", quiet: "info" };

/**
 * @param {string} text
 * @param {Tone} tone
 */
export function badge(text, tone) {
  return h("span", { class: `badge ${tone}` }, text);
}

/**
 * @param {Tone} tone
 * @param {Child[]} children
 */
export function notice(tone, ...children) {
  return h("div", { class: `notice ${tone}` }, icon(noticeIcons[tone]), h("div", {}, children));
}

/**
 * A control under its label; `hint` is read out with it.
 * @param {string} label
 * @param {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} control
 * @param {string} [hint]
 */
export function field(label, control, hint) {
  const id = control.id ||= uniqueId();
  const hintId = `${id}-hint`;
  if (hint) control.setAttribute("aria-describedby", hintId);
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    control,
    hint && h("p", { class: "hint", id: hintId }, hint),
  );
}

/**
 * @param {string} name
 * @param {readonly { value: string, label: string }[]} choices
 * @param {{ value?: string, on?: { change?: () => void } }} [options]
 */
export function select(name, choices, { value, on } = {}) {
  return h(
    "select",
    { name, ...(on && { on }) },
    choices.map((each) => h("option", { value: each.value, selected: each.value === value }, each.label)),
  );
}

/**
 * A box to tick.
 * @param {string} name
 * @param {string} label
 * @param {{ on?: { change?: () => void }, hint?: string }} [options]
 */
export function checkbox(name, label, { on, hint } = {}) {
  return h(
    "label",
    { class: "checkbox" },
    h("input", { type: "checkbox", name, ...(on && { on }) }),
    h("span", {}, label, hint && h("span", { class: "hint" }, hint)),
  );
}

/**
 * A button that does something and says when it cannot.
 * @param {Child} label
 * @param {() => Promise<unknown>} work
 * @param {{ class?: string, label?: string }} [options]
 */
export function button(label, work, options = {}) {
  const key = options.label ?? (typeof label === "string" ? label : undefined);
  const data = key === undefined ? {} : { key };
  const element = h("button", { type: "button", class: options.class, "aria-label": options.label, data }, label);
  // Not disabled meanwhile: what is disabled cannot be given the focus back when a dialog closes.
  let isBusy = false;
  element.addEventListener("click", async () => {
    if (isBusy) return;
    isBusy = true;
    try {
      await work();
    } catch (error) {
      toast(error instanceof Error ? error.message : String(error), { tone: "bad" });
    }
    isBusy = false;
  });
  return element;
}

/**
 * A value in full with a button that copies it.
 * @param {string} name what it is, for the button's name and the words afterwards
 * @param {string} text
 * @param {{ isSecret?: boolean }} [options]
 */
export function copyable(name, text, { isSecret = false } = {}) {
  return h(
    "div",
    { class: "copyable" },
    h("code", { class: isSecret ? "secret" : undefined, tabindex: "0", "aria-label": name }, text),
    copyButton(name, text),
  );
}

/**
 * @param {string} name
 * @param {string} text
 */
export function copyButton(name, text) {
  const element = h("button", { type: "button", class: "small", "aria-label": `Copy ${name}` }, icon("copy"), "Copy");
  element.addEventListener("click", async () => {
    await copy(text);
    replaceChildren(element, icon("check"), "Copied");
    toast(`Copied: ${name}`);
    setTimeout(() => replaceChildren(element, icon("copy"), "Copy"), 2000);
  });
  return element;
}

/** @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Plain HTTP has no clipboard; a selection that the old command copies does as well.
    const area = h("textarea", { class: "for-readers", readonly: true });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/**
 * A figure with its name above and a remark below.
 * @param {string} name
 * @param {Child} value
 * @param {Child} [remark]
 */
export function figure(name, value, remark) {
  return h(
    "div",
    { class: "figure" },
    h("p", { class: "figure-name" }, name),
    h("p", { class: "figure-value" }, value),
    remark !== undefined && h("p", { class: "figure-remark" }, remark),
  );
}

/**
 * Money as a figure: exact, with what is finer than a hundredth written small.
 * @param {string | bigint} amount
 * @param {string} currency
 */
export function sum(amount, currency) {
  const text = money(amount, currency);
  const [, main = text, fine = "", unit = ""] = /^(.*\.\d\d)(\d*)( \w+)?$/.exec(text) ?? [];
  return h("span", { class: "sum" }, main, fine && [h("wbr"), h("small", {}, fine)], unit);
}

/**
 * How long ago, with the time in full on hover and for programs.
 * @param {number} atMs
 */
export function when(atMs) {
  return h("time", { datetime: new Date(atMs).toISOString(), title: moment(atMs) }, ago(atMs));
}

/**
 * A heading with what belongs to it at its right.
 * @param {string} title
 * @param {Child[]} actions
 */
export function cardHead(title, ...actions) {
  return h("header", { class: "card-head" }, h("h2", {}, title), h("div", { class: "actions" }, actions));
}

/**
 * @param {string} title
 * @param {Child} actions
 * @param {Child[]} children
 */
export function card(title, actions, ...children) {
  return h("section", { class: "card" }, cardHead(title, actions), children);
}
