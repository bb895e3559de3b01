/**
 * Where everything stands on the map: from what the network is to places, by reckoning alone. The same network at the same
 * width always looks the same, and what comes or goes moves little beside it.
 *
 *   region ┌──────────────────────────────┐   a cell for each supernode (`map_cells.js`), cells beside each other, and below
 *          │  cell     cell      cell     │   them those who are with no supernode; regions stand in rows as wide as the
 *          │  relay   relay   relay       │   page
 *          └──────────────────────────────┘
 */

import { band, bandWidth, layCell, moved } from "./map_cells.js";

/** @import { GroupView, NetworkView, NodeView } from "../../dashboard/api.ts" */
/** @import { Cell, Item, Place, Spaces } from "./map_cells.js" */

/** @typedef {{ name: string, x: number, y: number, width: number, height: number }} RegionPlace */
/** @typedef {{ width: number, height: number, regions: RegionPlace[], places: Map<string, Place> }} Layout */

/** @typedef {{ hub: string, left: Item[], right: Item[], below: Item[] }} Members */

/**
 * Who is in a region; `loose`: with no supernode that is drawn.
 * @typedef {{ hubs: Members[], loose: Item[] }} Inhabitants
 */

/** Cells beside each other in a region. */
const MOST_ACROSS = 3;
const REGION_GAP = 16;
const REGION_HEAD = 38;
const REGION_PADDING = 14;
const CELL_GAP = 20;
/** Phones are as wide. */
const NARROW = 620;
/** From a supernode to those beside it. */
const REACHES = [150, 120, 90, 64, 46];
const NARROW_REACHES = [40, 32];
/** Of so many things nobody reads the names: what is pointed at tells its own. */
const MOST_NAMED = 90;

/**
 * @param {NetworkView} view
 * @param {number} width
 * @returns {Layout}
 */
export function layOut(view, width) {
  const isNarrow = width < NARROW;
  const isNamed = view.nodes.length + view.groups.length <= MOST_NAMED;
  const spaces = { label: !isNamed ? 0 : isNarrow ? 66 : 104, step: isNarrow ? 28 : 30 };
  const inhabitants = inhabitantsOf(view);
  const names = [...new Set([...view.regions, ...inhabitants.keys()])];
  const layouts = (isNarrow ? NARROW_REACHES : REACHES).map((reach) => {
    const boxes = names.flatMap((name) => {
      const here = inhabitants.get(name);
      return here ? [regionBox(name, here, { ...spaces, reach }, width)] : [];
    });
    return standInRows(boxes, width);
  });
  // Where there is room to the side, things stand further apart, so long as that takes no more room downwards.
  return layouts.reduce((best, next) => isSmaller(next, best) ? next : best);
}

/**
 * @param {Layout} one
 * @param {Layout} other
 */
function isSmaller(one, other) {
  return one.width < other.width || (one.width === other.width && one.height < other.height);
}

/**
 * @param {NetworkView} view
 * @returns {Map<string, Inhabitants>} by region
 */
function inhabitantsOf({ nodes, groups }) {
  /** @type {Map<string, Members>} */
  const byHub = new Map();
  /** @type {Map<string, Inhabitants>} */
  const byRegion = new Map();
  const inhabitants = (/** @type {string} */ region) => {
    const known = byRegion.get(region) ?? { hubs: [], loose: [] };
    byRegion.set(region, known);
    return known;
  };
  for (const { id, region } of nodes.filter(({ kind }) => kind === "supernode").toSorted(byName)) {
    const members = { hub: id, left: [], right: [], below: [] };
    byHub.set(id, members);
    inhabitants(region).hubs.push(members);
  }
  for (const { id, role, region, at, count } of itemsOf(nodes, groups)) {
    const hub = at === undefined ? undefined : byHub.get(at);
    const side = role === "client" ? hub?.left : role === "exit" ? hub?.right : hub?.below;
    (side ?? inhabitants(region).loose).push({ id, role, count });
  }
  return byRegion;
}

/**
 * Groups first, then by name, so that who comes and goes moves the others little.
 * @param {readonly NodeView[]} nodes
 * @param {readonly GroupView[]} groups
 */
function itemsOf(nodes, groups) {
  const singles = nodes.toSorted(byName).flatMap(({ id, kind, region, at }) =>
    kind === "supernode" ? [] : [{ id, role: kind, region, at, count: 1 }]
  );
  const many = groups.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  return [...many.map(({ id, role, region, at, count }) => ({ id, role, region, at, count })), ...singles];
}

/**
 * @param {NodeView} a
 * @param {NodeView} b
 */
function byName(a, b) {
  return a.label.localeCompare(b.label, "en", { numeric: true }) || (a.id < b.id ? -1 : 1);
}

/** @typedef {RegionPlace & { places: [string, Place][] }} Box */

/**
 * @param {string} name
 * @param {Inhabitants} inhabitants
 * @param {Spaces} spaces
 * @param {number} most how wide it may be
 * @returns {Box}
 */
function regionBox(name, { hubs, loose }, spaces, most) {
  const room = most - 2 * REGION_PADDING;
  const cells = cellRows(hubs.map((members) => layCell(members, spaces)), room);
  const inner = hubs.length === 0 ? Math.min(room, bandWidth(loose.length, spaces)) : cells.width;
  const under = band(loose, inner, spaces);
  return {
    name,
    x: 0,
    y: 0,
    width: inner + 2 * REGION_PADDING,
    height: REGION_HEAD + cells.height + under.height + REGION_PADDING,
    places: [
      ...moved(cells.places, REGION_PADDING, REGION_HEAD),
      ...moved(under.places, REGION_PADDING, REGION_HEAD + cells.height),
    ],
  };
}

/**
 * Cells side by side, each in the middle of as much room as the widest takes.
 * @param {readonly Cell[]} cells
 * @param {number} room
 * @returns {Cell}
 */
function cellRows(cells, room) {
  const widest = Math.max(0, ...cells.map(({ width }) => width));
  const most = Math.max(1, Math.min(MOST_ACROSS, Math.floor((room + CELL_GAP) / (widest + CELL_GAP))));
  const across = Math.ceil(cells.length / Math.ceil(cells.length / most)) || 0;
  /** @type {Cell["places"]} */
  const places = [];
  let y = 0;
  for (let first = 0; first < cells.length; first += across) {
    const row = cells.slice(first, first + across);
    const height = Math.max(...row.map((cell) => cell.height));
    row.forEach((cell, at) => {
      const x = at * (widest + CELL_GAP) + (widest - cell.width) / 2;
      places.push(...moved(cell.places, x, y + (height - cell.height) / 2));
    });
    y += height + CELL_GAP;
  }
  return { width: across * (widest + CELL_GAP) - CELL_GAP, height: Math.max(0, y - CELL_GAP), places };
}

/**
 * As many beside each other as there is room for; each row as wide as the page, and what stands in a box in its middle.
 * @param {readonly Box[]} boxes
 * @param {number} width
 * @returns {Layout}
 */
function standInRows(boxes, width) {
  /** @type {Box[][]} */
  const rows = [];
  for (const box of boxes) {
    const row = rows.at(-1);
    const taken = row?.reduce((sum, each) => sum + each.width + REGION_GAP, 0) ?? 0;
    if (row && taken + box.width <= width) row.push(box);
    else rows.push([box]);
  }
  const whole = Math.max(width, ...boxes.map((box) => box.width));
  /** @type {Layout} */
  const layout = { width: whole, height: 0, regions: [], places: new Map() };
  for (const row of rows) {
    const height = Math.max(...row.map((box) => box.height));
    const more = (whole - (row.length - 1) * REGION_GAP - row.reduce((sum, box) => sum + box.width, 0)) / row.length;
    let x = 0;
    for (const { name, width: own, height: ownHeight, places } of row) {
      layout.regions.push({ name, x, y: layout.height, width: own + more, height });
      const [right, down] = [x + more / 2, layout.height + (height - ownHeight) / 2];
      for (const [id, place] of places) layout.places.set(id, { ...place, x: place.x + right, y: place.y + down });
      x += own + more + REGION_GAP;
    }
    layout.height += height + REGION_GAP;
  }
  layout.height = Math.max(0, layout.height - REGION_GAP);
  return layout;
}
