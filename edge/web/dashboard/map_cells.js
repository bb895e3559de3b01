/**
 * A supernode and those around it, laid out as if they stood alone:
 *
 *   clients ) supernode ( exits     in columns that bend a little around it; few of them have their names beside them
 *             relays …              all others in rows below
 */

/** @import { PeerRole } from "../../dashboard/api.ts" */

/**
 * `letters`: for how many of its name there is room, where that is not the same for all.
 * @typedef {{ x: number, y: number, radius: number, label: "left" | "right" | "below" | "none", letters?: number }} Place
 */

/**
 * A peer or a group of them.
 * @typedef {{ id: string, role: PeerRole, count: number }} Item
 */

/**
 * Places in a room of that size.
 * @typedef {{ width: number, height: number, places: [string, Place][] }} Cell
 */

/**
 * How far things are from each other. `label`: room for a name beside its peer; 0 where there are too many to be named.
 * @typedef {{ label: number, reach: number, step: number }} Spaces
 */

export const HUB_RADIUS = 21;
const NODE_RADIUS = 8;
const MOST_GROUP_RADIUS = 20;
/** More than that stand without their names: where there are many, the panel tells. */
const MOST_LABELLED = 7;
const ROWS = 8;
/** Of a supernode: its name and how many peers it has. */
const HUB_WORDS = 42;
const LEAST_WIDTH = 150;
/** How wide one is, and a little more. */
const LETTER = 6;

/**
 * @param {{ hub: string, left: readonly Item[], right: readonly Item[], below: readonly Item[] }} members
 * @param {Spaces} spaces
 * @returns {Cell}
 */
export function layCell({ hub, left, right, below }, spaces) {
  const clients = columns(left, spaces);
  const exits = columns(right, spaces);
  const middle = 2 * spaces.reach + 2 * HUB_RADIUS;
  const taken = clients.width + middle + exits.width;
  const width = Math.max(taken, LEAST_WIDTH);
  const side = Math.max(clients.height, exits.height, 2 * (HUB_RADIUS + HUB_WORDS) - 24);
  const start = (width - taken) / 2 + clients.width;
  const y = side / 2 - 6;
  const under = band(below, width, spaces);
  return {
    width,
    height: side + under.height,
    places: [
      [hub, { x: start + middle / 2, y, radius: HUB_RADIUS, label: "below" }],
      ...clients.at((x) => start - x, y, "left"),
      ...exits.at((x) => start + middle + x, y, "right"),
      ...moved(under.places, 0, side),
    ],
  };
}

/**
 * @param {readonly [string, Place][]} places
 * @param {number} right
 * @param {number} down
 * @returns {[string, Place][]}
 */
export function moved(places, right, down) {
  return places.map(([id, place]) => [id, { ...place, x: place.x + right, y: place.y + down }]);
}

/**
 * Items in rows, each row as far apart as there is room.
 * @param {readonly Item[]} items
 * @param {number} width
 * @param {Pick<Spaces, "label">} spaces
 * @returns {Cell}
 */
export function band(items, width, { label }) {
  const [least, rowHeight] = bandSteps(label);
  const across = Math.max(1, Math.floor(width / least));
  const rows = Math.ceil(items.length / across);
  const inRow = Math.ceil(items.length / rows);
  return {
    width,
    height: rows * rowHeight,
    places: items.map((item, at) => {
      const row = Math.floor(at / inRow);
      const here = Math.min(inRow, items.length - row * inRow);
      const room = width / here;
      const [id, place] = placed(item, room * ((at % inRow) + 0.5), 16 + row * rowHeight, label > 0 ? "below" : "none");
      return [id, { ...place, letters: Math.floor(room / LETTER) }];
    }),
  };
}

/**
 * How wide a band would like to be, within reason.
 * @param {number} count
 * @param {Pick<Spaces, "label">} spaces
 */
export function bandWidth(count, { label }) {
  return Math.max(LEAST_WIDTH, Math.min(count, 6) * bandSteps(label)[0]);
}

/**
 * To the next beside, and to the next row.
 * @param {number} label
 * @returns {[number, number]}
 */
function bandSteps(label) {
  return label > 0 ? [84, 52] : [44, 40];
}

/**
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
