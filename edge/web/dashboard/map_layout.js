/**
 * Where everything stands on the map: from what the network is to places, by reckoning alone. The same network at the same
 * width always looks the same, and what comes or goes moves little beside it.
 *
 *   region ┌──────────────────────────────┐   a cell for each supernode: clients at its left, exits at its right, the others
 *          │ clients ) supernode ( exits  │   below; regions stand in rows as wide as the page. Peers without a supernode
 *          │           relays             │   have a cell of their own.
 *          └──────────────────────────────┘
 */

/** @import { GroupView, NetworkView, NodeView, PeerRole } from "../../dashboard/api.ts" */

/** @typedef {{ x: number, y: number, radius: number, label: "left" | "right" | "below" | "none" }} Place */
/** @typedef {{ name: string, x: number, y: number, width: number, height: number }} RegionPlace */
/** @typedef {{ width: number, height: number, regions: RegionPlace[], places: Map<string, Place> }} Layout */

/**
 * A peer or a group of them.
 * @typedef {{ id: string, role: PeerRole, count: number }} Item
 */

/** @typedef {{ hub: string | undefined, left: Item[], right: Item[], below: Item[] }} Members */

/**
 * A cell with places as if it stood at 0, 0.
 * @typedef {{ width: number, height: number, places: [string, Place][] }} Cell
 */

export const HUB_RADIUS = 21;
const NODE_RADIUS = 8;
const MOST_GROUP_RADIUS = 20;
/** More than that stand without their names: where there are many, the panel tells. */
const MOST_LABELLED = 7;
const ROWS = 8;
/** Cells beside each other in a region. */
const MOST_ACROSS = 3;
const REGION_GAP = 16;
const REGION_HEAD = 34;
const REGION_PADDING = 14;
const CELL_GAP = 20;
/** Phones are as wide. */
const NARROW = 620;
/** From a supernode to those beside it. */
const REACHES = [150, 120, 90, 64, 46];
const NARROW_REACHES = [40, 32];
/** Of so many things nobody reads the names: what is pointed at tells its own. */
const MOST_NAMED = 90;
/** Of a supernode: its name and how many peers it has. */
const HUB_WORDS = 42;

/**
 * How far things are from each other.
 * @typedef {{ label: number, reach: number, step: number }} Spaces
 */

/**
 * @param {NetworkView} view
 * @param {number} width
 * @returns {Layout}
 */
export function layOut(view, width) {
  const isNarrow = width < NARROW;
  const isNamed = view.nodes.length + view.groups.length <= MOST_NAMED;
  const spaces = { label: !isNamed ? 0 : isNarrow ? 66 : 104, step: isNarrow ? 28 : 30 };
  const cells = membersByRegion(view);
  const layouts = (isNarrow ? NARROW_REACHES : REACHES).map((reach) =>
    layCells(view, cells, { ...spaces, reach }, width)
  );
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
 * @param {ReadonlyMap<string, readonly Members[]>} cells
 * @param {Spaces} spaces
 * @param {number} width
 */
function layCells(view, cells, spaces, width) {
  const names = [...new Set([...view.regions, ...cells.keys()])].filter((name) => cells.has(name));
  const boxes = names.map((name) => {
    return regionBox(name, (cells.get(name) ?? []).map((members) => layCell(members, spaces)), width);
  });
  return standInRows(boxes, width);
}

/**
 * Who stands with whom.
 * @param {NetworkView} view
 */
function membersByRegion({ nodes, groups }) {
  /** @type {Map<string, Members>} */
  const byHub = new Map();
  /** @type {Map<string, Members[]>} */
  const byRegion = new Map();
  const newCell = (/** @type {string} */ region, /** @type {string | undefined} */ hub) => {
    const members = { hub, left: [], right: [], below: [] };
    byRegion.set(region, [...byRegion.get(region) ?? [], members]);
    return members;
  };
  const supernodes = nodes.filter(({ kind }) => kind === "supernode").toSorted(byName);
  for (const { id, region } of supernodes) byHub.set(id, newCell(region, id));
  /** @type {Map<string, Members>} */
  const loose = new Map();
  for (const { id, role, region, at, count } of itemsOf(nodes, groups)) {
    let members = at === undefined ? undefined : byHub.get(at);
    members ??= loose.get(region) ?? newCell(region, undefined);
    if (members.hub === undefined) loose.set(region, members);
    const side = role === "client" ? members.left : role === "exit" ? members.right : members.below;
    side.push({ id, role, count });
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

/**
 * @param {Members} members
 * @param {Spaces} spaces
 * @returns {Cell}
 */
function layCell({ hub, left, right, below }, spaces) {
  const clients = columns(left, spaces);
  const exits = columns(right, spaces);
  const middle = hub === undefined ? 24 : 2 * spaces.reach + 2 * HUB_RADIUS;
  const across = Math.max(1, Math.floor((clients.width + middle + exits.width) / 84));
  const rows = Math.ceil(below.length / across);
  const width = Math.max(clients.width + middle + exits.width, 150);
  const side = Math.max(clients.height, exits.height, hub === undefined ? 0 : 2 * (HUB_RADIUS + HUB_WORDS) - 24);
  const slack = (width - clients.width - middle - exits.width) / 2;
  const hubX = slack + clients.width + middle / 2;
  const y = side / 2 - (hub === undefined ? 0 : 6);
  /** @type {Cell["places"]} */
  const places = [
    ...clients.at((x) => slack + clients.width - x, y, "left"),
    ...exits.at((x) => slack + clients.width + middle + x, y, "right"),
    ...below.map((item, at) =>
      placed(item, spread(at, below.length, across, width), side + 16 + rowOf(at, across) * 50, "below")
    ),
  ];
  if (hub !== undefined) places.unshift([hub, { x: hubX, y, radius: HUB_RADIUS, label: "below" }]);
  return { width, height: side + rows * 50, places };
}

/** @param {number} at @param {number} across */
function rowOf(at, across) {
  return Math.floor(at / across);
}

/**
 * As far apart from each other as from the ends.
 * @param {number} at
 * @param {number} count
 * @param {number} across
 * @param {number} width
 */
function spread(at, count, across, width) {
  const inRow = Math.min(across, count - rowOf(at, across) * across);
  return width * ((at % across) + 0.5) / inRow;
}

/**
 * Items in columns that bend a little around the supernode; few of them with their names beside them.
 * @param {readonly Item[]} items
 * @param {Spaces} spaces
 */
function columns(items, { label, step }) {
  const isLabelled = label > 0 && items.length <= MOST_LABELLED;
  const count = isLabelled ? 1 : Math.ceil(items.length / ROWS) || 1;
  const rows = Math.ceil(items.length / count) || 0;
  const stepX = isLabelled ? 0 : step;
  const width = items.length === 0 ? 8 : isLabelled ? NODE_RADIUS * 2 + label : count * step + MOST_GROUP_RADIUS;
  return {
    width,
    height: rows * step + 12,
    /**
     * @param {(x: number) => number} x from how far outwards
     * @param {number} middle
     * @param {"left" | "right"} side
     * @returns {[string, Place][]}
     */
    at: (x, middle, side) =>
      items.map((item, at) => {
        const column = Math.floor(at / rows);
        const inColumn = Math.min(rows, items.length - column * rows);
        const offset = (at % rows) - (inColumn - 1) / 2;
        const bend = 1.6 * offset ** 2;
        const outwards = NODE_RADIUS + column * stepX - Math.min(bend, 14);
        return placed(item, x(outwards), middle + offset * step, isLabelled ? side : "none");
      }),
  };
}

/**
 * @param {Item} item
 * @param {number} x
 * @param {number} y
 * @param {Place["label"]} label
 * @returns {[string, Place]}
 */
function placed({ id, count }, x, y, label) {
  const radius = count === 1 ? NODE_RADIUS : Math.min(MOST_GROUP_RADIUS, 12 + 2 * Math.log10(count));
  return [id, { x, y, radius, label }];
}

/** @typedef {RegionPlace & { places: [string, Place][] }} Box */

/**
 * Cells side by side, in about as many rows as columns.
 * @param {string} name
 * @param {readonly Cell[]} cells
 * @param {number} most
 * @returns {Box}
 */
function regionBox(name, cells, most) {
  const widest = Math.max(...cells.map(({ width }) => width));
  const room = Math.max(1, Math.floor((most - 2 * REGION_PADDING + CELL_GAP) / (widest + CELL_GAP)));
  const across = Math.ceil(cells.length / Math.ceil(cells.length / Math.min(room, MOST_ACROSS)));
  /** @type {Box["places"]} */
  const places = [];
  let y = REGION_HEAD;
  for (let first = 0; first < cells.length; first += across) {
    const row = cells.slice(first, first + across);
    const height = Math.max(...row.map((cell) => cell.height));
    row.forEach((cell, at) => {
      const x = REGION_PADDING + at * (widest + CELL_GAP) + (widest - cell.width) / 2;
      const down = y + (height - cell.height) / 2;
      for (const [id, place] of cell.places) places.push([id, { ...place, x: place.x + x, y: place.y + down }]);
    });
    y += height + CELL_GAP;
  }
  const width = 2 * REGION_PADDING + across * (widest + CELL_GAP) - CELL_GAP;
  return { name, x: 0, y: 0, width, height: y - CELL_GAP + REGION_PADDING, places };
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
