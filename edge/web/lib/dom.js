/**
 * Elements from code. Text is only ever text: nothing here, and nothing in these pages, turns a string into markup, and
 * the page's policy (Trusted Types) has the browser refuse it too.
 */

/** @typedef {Node | string | number | bigint | false | null | undefined} Leaf */
/** @typedef {{ readonly [at: number]: Child, readonly length: number }} Children */
/** @typedef {Leaf | Children} Child */

/**
 * @typedef {{
 *   class?: string | undefined,
 *   on?: { [K in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[K]) => unknown },
 *   data?: Record<string, string>,
 *   [attribute: string]: unknown,
 * }} Attributes
 */

/**
 * An element. Attributes that are false or undefined are left out, true ones are empty.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {Child[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  const { on, data, ...plain } = attributes;
  for (const [name, value] of Object.entries(plain)) {
    if (value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  Object.assign(element.dataset, data);
  for (const [type, listener] of Object.entries(on ?? {})) {
    element.addEventListener(type, /** @type {EventListener} */ (listener));
  }
  append(element, children);
  return element;
}

/**
 * @param {Node} parent
 * @param {Child[]} children
 */
export function append(parent, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(parent, child);
    else if (child instanceof Node) parent.appendChild(child);
    else if (child !== undefined && child !== null && child !== false) parent.appendChild(new Text(String(child)));
  }
}

/**
 * @param {Element} parent
 * @param {Child[]} children
 */
export function replaceChildren(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

const SVG = "http://www.w3.org/2000/svg";

/** Outlines in a square of 24. */
const icons = {
  copy: "M9 9h10v11H9zM5 15V4h10",
  check: "M5 13l4 4L19 7",
  alert: "M12 4l9 16H3zM12 10v4m0 3v.5",
  info: "M12 11v6m0-10v.5M12 3a9 9 0 100 18 9 9 0 000-18z",
  close: "M6 6l12 12M18 6L6 18",
  sun: "M12 8a4 4 0 100 8 4 4 0 000-8zM12 2v2m0 16v2M2 12h2m16 0h2M5 5l1.5 1.5m11 11L19 19M19 5l-1.5 1.5m-11 11L5 19",
  moon: "M20 14A8 8 0 0110 4a8 8 0 1010 10z",
  auto: "M12 3a9 9 0 100 18 9 9 0 000-18zM12 3v18",
  down: "M12 4v12m-5-5l5 5 5-5M5 20h14",
  plus: "M12 5v14M5 12h14",
  out: "M10 4H5v16h5m4-4l4-4-4-4m4 4H9",
  up: "M12 20V8m-5 5l5-5 5 5M5 4h14",
  folder: "M3 6h6l2 3h10v10H3z",
  file: "M6 3h8l5 5v13H6zM14 3v5h5",
  text: "M6 3h8l5 5v13H6zM9 12h7m-7 4h7",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9v.5",
  film: "M4 5h16v14H4zM10 9l5 3-5 3z",
  sound: "M9 18V6l10-2v12M9 18a2.5 2.5 0 11-5 0 2.5 2.5 0 015 0zM19 16a2.5 2.5 0 11-5 0 2.5 2.5 0 015 0z",
  search: "M11 4a7 7 0 100 14 7 7 0 000-14zM16 16l5 5",
  link: "M10 14a4 4 0 005.7 0l3-3a4 4 0 00-5.7-5.7l-1 1M14 10a4 4 0 00-5.7 0l-3 3a4 4 0 005.7 5.7l1-1",
};

/** @typedef {keyof typeof icons} IconName */

/**
 * A picture beside words, hidden from those who are read to.
 * @param {IconName} name
 * @returns {SVGElement}
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", icons[name]);
  svg.append(path);
  return svg;
}

let lastId = 0;

/** An id nobody else on the page has, to tie labels to what they name. */
export function uniqueId() {
  return `id-${++lastId}`;
}
