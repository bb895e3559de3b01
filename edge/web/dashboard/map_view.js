/**
 * The map in SVG: regions, links between supernodes, who is connected where, the ways sessions take, and whoever is there.
 * What is there already is changed, not made anew, so that it moves, keeps the focus, and costs little each second.
 *
 * With the keyboard the map is one stop: arrows go to what is next in their direction, Enter or Space chooses.
 */

import { h } from "../lib/dom.js";
import { archOf, curve, pathText, wayOf } from "./map_curves.js";
import { layOut } from "./map_layout.js";
import { Motion } from "./map_motion.js";
import { changeSpot, makeSpot, wordsOf } from "./map_spots.js";
import { nextInDirection } from "./map_steps.js";
import { mapTip } from "./map_tip.js";
import { keep, s, set } from "./svg.js";

/** @import { NetworkView, RouteView } from "../../dashboard/api.ts" */
/** @import { Place } from "./map_cells.js" */
/** @import { Layout } from "./map_layout.js" */
/** @import { Way } from "./map_motion.js" */

const LEAST_WIDTH = 300;
const MANY_WAYS = 40;

/** @typedef {Way & { route: RouteView }} DrawnWay */

export class MapView {
  element = h("div", { class: "map" });
  #layers = {
    regions: s("g", { class: "regions" }),
    links: s("g", { class: "links", "aria-hidden": "true" }),
    spokes: s("g", { class: "spokes", "aria-hidden": "true" }),
    ways: s("g", { class: "ways", "aria-hidden": "true" }),
    spots: s("g", { class: "spots" }),
  };
  #known = {
    /** @type {Map<string, SVGGElement>} */ regions: new Map(),
    /** @type {Map<string, SVGPathElement>} */ links: new Map(),
    /** @type {Map<string, SVGPathElement>} */ spokes: new Map(),
    /** @type {Map<string, SVGGElement>} */ ways: new Map(),
    /** @type {Map<string, SVGGElement>} */ spots: new Map(),
  };
  #svg = s("svg", {
    role: "group",
    "aria-label": "Map of the network. Arrow keys go from one to the next, Enter tells more.",
  }, ...Object.values(this.#layers));
  #motion;
  #choose;
  /** @type {NetworkView | undefined} */
  #view;
  /** Where those who are shown were connected last. @type {ReadonlyMap<string, string | undefined>} */
  #lastAt = new Map();
  /** @type {Layout | undefined} */
  #layout;
  /** @type {ReadonlyMap<string, DrawnWay>} */
  #ways = new Map();
  /** @type {string | undefined} */
  #chosen;
  /** @type {string | undefined} */
  #pointed;

  #tip = mapTip();

  /** @param {{ choose: (id: string) => void, signal: AbortSignal }} options told the id of a node, of a group, or a way's key */
  constructor({ choose, signal }) {
    this.#choose = choose;
    this.#motion = new Motion(this.element, signal);
    this.element.append(this.#svg, this.#motion.element, this.#tip.element);
    const resized = new ResizeObserver(() => this.#draw());
    resized.observe(this.element);
    signal.addEventListener("abort", () => resized.disconnect(), { once: true });
    this.#svg.addEventListener("click", (event) => this.#onClick(event));
    this.#svg.addEventListener("keydown", (event) => this.#onKey(event));
    this.#svg.addEventListener("pointerover", (event) => this.#point(idAt(event)));
    this.#svg.addEventListener("pointerleave", () => this.#point(undefined));
    this.#svg.addEventListener("focusin", (event) => this.#point(idAt(event)));
    this.#svg.addEventListener("focusout", () => this.#point(undefined));
  }

  /** @param {NetworkView} view */
  show(view) {
    // Who is gone stays where it was: one sees what is missing, and the others do not move.
    const nodes = view.nodes.map((node) =>
      node.state === "gone" ? { ...node, at: node.at ?? this.#lastAt.get(node.id) } : node
    );
    this.#lastAt = new Map(nodes.map(({ id, at }) => [id, at]));
    this.#view = { ...view, nodes };
    this.#draw();
  }

  /** @param {string | undefined} id */
  mark(id) {
    this.#chosen = id;
    this.#emphasise();
  }

  /**
   * Where a panel would hide it, as on a phone, the page goes on a little.
   * @param {string} id
   * @param {Element} panel
   */
  reveal(id, panel) {
    const spot = this.#known.spots.get(id)?.getBoundingClientRect();
    const { position, maxHeight } = getComputedStyle(panel);
    if (!spot || position !== "fixed") return;
    // It may yet grow as much.
    const hidden = spot.bottom + 24 - (innerHeight - Number.parseFloat(maxHeight));
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    if (hidden > 0) scrollBy({ top: hidden, behavior });
  }

  /** @param {string} id */
  focus(id) {
    this.#known.spots.get(id)?.focus({ preventScroll: true });
  }

  /**
   * A way by its key.
   * @param {string} key
   * @returns {RouteView | undefined}
   */
  wayOf(key) {
    return this.#ways.get(key)?.route;
  }

  #draw() {
    const view = this.#view;
    const room = this.element.clientWidth;
    if (!view || room === 0) return;
    const layout = layOut(view, Math.max(room, LEAST_WIDTH));
    this.#layout = layout;
    set(this.#svg, { viewBox: `0 0 ${layout.width} ${layout.height}` });
    this.element.classList.add("drawn");
    this.element.style.aspectRatio = `${layout.width} / ${Math.max(layout.height, 1)}`;
    this.#drawRegions(layout);
    this.#drawLines(view, layout);
    this.#drawSpots(view, layout);
    this.#motion.show(this.#ways, layout);
    this.#emphasise();
  }

  /** @param {Layout} layout */
  #drawRegions({ regions }) {
    keep(this.#layers.regions, this.#known.regions, regions.map((each) => /** @type {const} */ ([each.name, each])), {
      make: () => s("g", {}, s("rect", { rx: 14 }), s("text", {})),
      change: (element, { name, x, y, width, height }) => {
        const [rect, text] = element.children;
        if (rect) set(rect, { x: x + 0.5, y: y + 0.5, width: width - 1, height: height - 1 });
        if (text) set(text, { x: x + 16, y: y + 24 });
        if (text && text.textContent !== name) text.textContent = name;
      },
    });
  }

  /**
   * @param {NetworkView} view
   * @param {Layout} layout
   */
  #drawLines({ links, nodes, groups, routes }, { places }) {
    const pathed = {
      make: () => s("path"),
      change: (/** @type {Element} */ element, /** @type {string} */ d) => set(element, { d }),
    };
    keep(
      this.#layers.links,
      this.#known.links,
      linesOf(links.map(({ from, to }) => [from, to]), places, archOf),
      pathed,
    );
    const spokes = [...nodes.filter(({ state }) => state !== "gone"), ...groups].flatMap((
      { id, at },
    ) => (at === undefined ? [] : [[id, at]]));
    keep(this.#layers.spokes, this.#known.spokes, linesOf(spokes, places), pathed);
    this.#ways = waysOf(routes, places);
    // The more there are, the fainter each is: what matters then is where they are dense.
    this.#layers.ways.style.setProperty("--way-opacity", String(Math.max(0.16, Math.min(0.6, 14 / this.#ways.size))));
    this.#layers.ways.classList.toggle("many", this.#ways.size > MANY_WAYS);
    keep(this.#layers.ways, this.#known.ways, this.#ways, {
      make: (_, key) => s("g", { "data-id": key }, s("path", { class: "reach" }), s("path", { class: "line" })),
      change: (element, { curves, route }) => {
        const d = pathText(curves);
        for (const path of element.children) set(path, { d });
        set(element, { class: `way${route.isMoving ? " moving" : ""}` });
        element.style.setProperty("--way-width", String(1.4 + Math.min(2.6, Math.log10(route.sessions) * 1.3)));
      },
    });
  }

  /**
   * @param {NetworkView} view
   * @param {Layout} layout
   */
  #drawSpots({ nodes, groups }, { places }) {
    const wanted = [
      ...nodes.map((node) => ({ id: node.id, node })),
      ...groups.map((group) => ({ id: group.id, group })),
    ].flatMap(({ id, ...what }) => {
      const place = places.get(id);
      return place ? [/** @type {const} */ ([id, { place, ...what }])] : [];
    });
    keep(this.#layers.spots, this.#known.spots, wanted, {
      make: (_, id) => makeSpot(id),
      change: changeSpot,
    });
    this.#keepStop();
  }

  /** One of them can be come to by Tab: the one that was last, or the first. */
  #keepStop() {
    const spots = [...this.#known.spots.values()];
    const stop = spots.find((each) => each.getAttribute("tabindex") === "0") ?? spots[0];
    if (stop) set(stop, { tabindex: 0 });
  }

  /** What is chosen or pointed at stands out, with the ways through it. */
  #emphasise() {
    const id = this.#pointed ?? this.#chosen;
    let isKnown = false;
    for (const [key, element] of this.#known.ways) {
      const route = this.#ways.get(key)?.route;
      const isOn = id !== undefined && (key === id || route?.sessionId === id || route?.via.includes(id) === true);
      element.classList.toggle("on", isOn);
      isKnown ||= isOn;
    }
    this.#layers.ways.classList.toggle("some-on", isKnown);
    for (const [key, element] of this.#known.spots) {
      element.classList.toggle("chosen", key === this.#chosen);
      set(element, { "aria-pressed": String(key === this.#chosen) });
    }
  }

  /** @param {string | undefined} id */
  #point(id) {
    if (id === this.#pointed) return;
    this.#pointed = id;
    this.#emphasise();
    this.#showTip(id);
  }

  /** @param {string | undefined} id */
  #showTip(id) {
    const layout = this.#layout;
    const place = layout?.places.get(id ?? "");
    if (!layout || !place) return this.#tip.hide();
    const node = this.#view?.nodes.find((each) => each.id === id);
    const group = this.#view?.groups.find((each) => each.id === id);
    this.#tip.show(wordsOf({ node, group }), place, this.element.clientWidth / layout.width);
  }

  /** @param {Event} event */
  #onClick(event) {
    const id = idAt(event);
    if (id !== undefined) this.#choose(id);
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const id = idAt(event);
    if (id === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      return this.#choose(id);
    }
    const next = nextInDirection(this.#layout?.places ?? new Map(), id, event.key);
    const to = next === undefined ? undefined : this.#known.spots.get(next);
    if (!to) return;
    event.preventDefault();
    for (const each of this.#known.spots.values()) set(each, { tabindex: each === to ? 0 : -1 });
    to.focus();
  }
}

/** @param {Event} event */
function idAt({ target }) {
  const element = target instanceof Element ? target.closest("[data-id]") : null;
  return element?.getAttribute("data-id") ?? undefined;
}

/**
 * @param {readonly (readonly string[])[]} pairs
 * @param {ReadonlyMap<string, Place>} places
 * @param {typeof archOf} [arch]
 * @returns {[string, string][]}
 */
function linesOf(pairs, places, arch = () => 0) {
  return pairs.flatMap(([from = "", to = ""]) => {
    const [one, other] = [places.get(from), places.get(to)];
    return one && other ? [[`${from} ${to}`, pathText([curve(one, other, 0, arch(one, other))])]] : [];
  });
}

/**
 * A session that moves to another exit is the same way, bent: a way is known by the client it begins at.
 * @param {readonly RouteView[]} routes
 * @param {ReadonlyMap<string, Place>} places
 * @returns {ReadonlyMap<string, DrawnWay>}
 */
function waysOf(routes, places) {
  /** @type {Map<string, DrawnWay>} */
  const ways = new Map();
  /** @type {Map<string, number>} */
  const seen = new Map();
  for (const route of routes) {
    const stops = route.via.flatMap((id) => places.get(id) ?? []);
    const start = route.sessionId === undefined ? route.via.join(" ") : (route.via[0] ?? "");
    const before = seen.get(start) ?? 0;
    if (stops.length < 2) continue;
    seen.set(start, before + 1);
    const lane = ((ways.size % 5) - 2) * 5;
    ways.set(`way ${start} ${before}`, { route, curves: wayOf(stops, lane), ...route });
  }
  return ways;
}
