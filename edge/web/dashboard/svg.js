/** SVG elements from code, and changes to them that cost nothing where nothing is new. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number | undefined>} [attributes]
 * @param {(Node | false | undefined)[]} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  set(element, attributes);
  element.append(...children.filter((child) => child instanceof Node));
  return element;
}

/**
 * @param {Element} element
 * @param {Record<string, string | number | undefined>} attributes undefined takes one away
 */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
  }
}

/**
 * Makes what is new, changes what is there, and takes away what is gone: each is known by its key.
 * @template T
 * @template {Element} E
 * @param {Element} parent
 * @param {Map<string, E>} known
 * @param {Iterable<readonly [string, T]>} wanted
 * @param {{ make: (item: T, key: string) => E, change: (element: E, item: T) => void }} how
 */
export function keep(parent, known, wanted, { make, change }) {
  const gone = new Set(known.keys());
  for (const [key, item] of wanted) {
    gone.delete(key);
    let element = known.get(key);
    if (!element) {
      element = make(item, key);
      known.set(key, element);
      parent.append(element);
    }
    change(element, item);
  }
  for (const key of gone) {
    known.get(key)?.remove();
    known.delete(key);
  }
}
