/**
 * What stands on the map, as one sees it: a shape for each role, so that nothing depends on colours alone; a ring for how
 * loaded it is; a sign for how it fares; behind groups, that there are more.
 */

import { plural } from "../lib/words.js";
import { s, set } from "./svg.js";
import { percent, roles, states } from "./words.js";

/** @import { GroupView, NodeView, PeerRole } from "../../dashboard/api.ts" */
/** @import { Place } from "./map_cells.js" */

/** @typedef {{ place: Place, node?: NodeView | undefined, group?: GroupView | undefined }} Spot a node or a group */

const RING_GAP = 4.5;
/** Beyond that a label has no room. */
const MOST_LETTERS = { left: 15, right: 15, below: 18, none: 0 };

/**
 * @param {number} radius
 * @returns {Record<NodeView["kind"], string>}
 */
function shapes(radius) {
  const r = radius;
  return {
    client: circle(r),
    exit: polygon(4, r * 1.18, Math.PI / 4),
    relay: polygon(4, r * 1.2, 0),
    upstream: polygon(3, r * 1.2, -Math.PI / 2),
    downstream: polygon(3, r * 1.2, Math.PI / 2),
    central: polygon(8, r * 1.05, Math.PI / 8),
    gateway: polygon(5, r * 1.12, -Math.PI / 2),
    supernode: polygon(6, r * 1.05, Math.PI / 6),
  };
}

/** @param {number} r */
function circle(r) {
  return `M${-r} 0a${r} ${r} 0 1 1 ${2 * r} 0a${r} ${r} 0 1 1 ${-2 * r} 0z`;
}

/**
 * @param {number} corners
 * @param {number} radius
 * @param {number} turn
 */
function polygon(corners, radius, turn) {
  const spots = Array.from({ length: corners }, (_, at) => {
    const angle = turn + at * 2 * Math.PI / corners;
    return `${(radius * Math.cos(angle)).toFixed(1)} ${(radius * Math.sin(angle)).toFixed(1)}`;
  });
  return `M${spots.join("L")}z`;
}

/**
 * @param {NodeView["kind"]} kind
 * @param {number} radius
 */
export function shapeOf(kind, radius) {
  return shapes(radius)[kind] ?? circle(radius);
}

/** The arch of the sign, in a square of 32 around 0, 0. */
const ARCH = "M-7 7v-4a7 7 0 0114 0v4h-3.6v-4a3.4 3.4 0 00-6.8 0v4z";

/** @param {string} id */
export function makeSpot(id) {
  return s(
    "g",
    { class: "spot", role: "button", tabindex: -1, "data-id": id },
    s("rect", { class: "hit" }),
    s("circle", { class: "halo" }),
    s("path", { class: "behind" }),
    s("circle", { class: "ring-track" }),
    s("circle", { class: "ring", pathLength: 100 }),
    s("path", { class: "shape" }),
    s("path", { class: "mark" }),
    s("text", { class: "count" }),
    // What is read stands apart.
    new Text(" "),
    s("text", { class: "name" }),
    new Text(" "),
    s("text", { class: "remark" }),
  );
}

/**
 * @param {SVGGElement} element
 * @param {Spot} spot
 */
export function changeSpot(element, { place, node, group }) {
  const kind = node?.kind ?? group?.role ?? "client";
  const { x, y, radius } = place;
  const { title, facts } = wordsOf({ node, group });
  const state = node ? node.state : group && group.failing > 0 ? "some-failing" : "good";
  const [hit, halo, behind, track, ring, shape, mark, count, name, remark] = element.children;
  if (!hit || !halo || !behind || !track || !ring || !shape || !mark || !count || !name || !remark) return;
  set(element, {
    class: `spot ${kind} ${state}${group ? " group" : ""}${isChosen(element) ? " chosen" : ""}`,
    "aria-label": [title, ...facts].join(", "),
  });
  element.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
  set(hit, { x: -radius - 14, y: -radius - 6, width: 2 * radius + 28, height: 2 * radius + 12 });
  set(halo, { r: radius + 9 });
  set(shape, { d: shapeOf(kind, radius) });
  set(behind, group ? { d: shapeOf(kind, radius), transform: "translate(3.5 -3.5)" } : { d: undefined });
  drawRing(track, ring, radius + RING_GAP, node?.load ?? group?.load);
  set(mark, { d: markOf(kind, state) });
  write(count, group ? brief(group.count) : "", { y: 3.5 });
  drawWords([name, remark], place, { node, group });
}

/** @param {Element} element */
function isChosen(element) {
  return element.classList.contains("chosen");
}

/**
 * @param {Element} track
 * @param {Element} ring
 * @param {number} radius
 * @param {number | undefined} load
 */
function drawRing(track, ring, radius, load) {
  set(track, { r: load === undefined ? 0 : radius });
  set(ring, {
    r: load === undefined ? 0 : radius,
    class: `ring${load === undefined || load < 0.75 ? "" : load < 0.9 ? " warn" : " bad"}`,
    "stroke-dasharray": `${Math.round((load ?? 0) * 100)} 100`,
  });
}

/**
 * @param {NodeView["kind"]} kind
 * @param {string} state
 */
function markOf(kind, state) {
  if (state === "failing") return "M0 -4.5v5.5M0 4v.6";
  if (state === "blocked" || state === "gone") return "M-3.5 -3.5l7 7M3.5 -3.5l-7 7";
  if (state === "draining" && kind !== "supernode") return "M-2 -3.5v7M2 -3.5v7";
  return kind === "supernode" ? ARCH : undefined;
}

/**
 * @param {readonly [Element, Element]} texts
 * @param {Place} place
 * @param {Pick<Spot, "node" | "group">} what
 */
function drawWords([name, remark], { radius, label, letters = MOST_LETTERS[label] }, { node, group }) {
  const text = node?.label ?? (group ? roles[group.role].many : "");
  const beside = radius + RING_GAP + 8;
  const at = label === "left"
    ? { x: -beside, y: 4 }
    : label === "right"
    ? { x: beside, y: 4 }
    : { x: 0, y: radius + 17 };
  const anchor = label === "left" ? "end" : label === "right" ? "start" : "middle";
  write(name, clipped(text, label === "none" ? 0 : letters), { ...at, "text-anchor": anchor });
  const peers = node?.kind === "supernode" && node.streams !== undefined ? plural(node.streams, "peer") : "";
  write(remark, label === "none" ? "" : peers, { x: at.x, y: at.y + 14, "text-anchor": anchor });
}

/**
 * @param {Element} element
 * @param {string} text
 * @param {Record<string, string | number>} attributes
 */
function write(element, text, attributes) {
  set(element, attributes);
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Out of the middle: names that are alike differ at their ends. The whole name is in the tip, in the panel, and read out.
 * @param {string} text
 * @param {number} most
 */
export function clipped(text, most) {
  const letters = [...text];
  if (letters.length <= most) return text;
  if (most === 0) return "";
  const tail = Math.floor((most - 1) / 2);
  return `${letters.slice(0, most - 1 - tail).join("")}…${letters.slice(letters.length - tail).join("")}`;
}

/** @param {number} count */
export function brief(count) {
  return new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: count < 10_000 ? 1 : 0 }).format(
    count,
  );
}

/**
 * What it is called, then the rest; the same begins with what is written on the map.
 * @param {Pick<Spot, "node" | "group">} spot
 * @returns {{ title: string, facts: string[] }}
 */
export function wordsOf({ node, group }) {
  if (node) return { title: node.label, facts: nodeFacts(node) };
  return group ? { title: groupTitle(group), facts: groupFacts(group) } : { title: "", facts: [] };
}

/** @param {NodeView} node */
function nodeFacts({ kind, region, state, load, sessions, streams }) {
  return known([
    streams !== undefined && plural(streams, "peer"),
    roles[kind].one.toLowerCase(),
    region,
    states[state].label.toLowerCase(),
    load !== undefined && `load ${percent(load)}`,
    plural(sessions, "session"),
  ]);
}

/** @param {GroupView} group */
export function groupTitle({ role, count }) {
  return plural(count, roles[role].one.toLowerCase(), roles[role].many.toLowerCase());
}

/** @param {GroupView} group */
function groupFacts({ region, sessions, failing, load }) {
  return known([
    region,
    load !== undefined && `load ${percent(load)}`,
    plural(sessions, "session"),
    failing > 0 && `${failing.toLocaleString("en")} failing`,
  ]);
}

/** @param {readonly (string | false)[]} facts */
function known(facts) {
  return facts.filter((fact) => fact !== false);
}
