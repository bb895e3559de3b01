/** Which spot an arrow key leads to: what is near and lies in its direction rather than beside it. */

/** @typedef {{ x: number, y: number }} Spot */

/** @type {Record<string, Spot>} */
const directions = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

/**
 * @param {ReadonlyMap<string, Spot>} places
 * @param {string} from
 * @param {string} key
 * @returns {string | undefined}
 */
export function nextInDirection(places, from, key) {
  const here = places.get(from);
  const direction = directions[key];
  if (!here || !direction) return undefined;
  /** @type {string | undefined} */
  let best;
  let least = Infinity;
  for (const [id, { x, y }] of places) {
    const ahead = (x - here.x) * direction.x + (y - here.y) * direction.y;
    const beside = Math.abs((x - here.x) * direction.y) + Math.abs((y - here.y) * direction.x);
    if (id === from || ahead <= 0.5) continue;
    const cost = ahead + 2.5 * beside;
    if (cost < least) [best, least] = [id, cost];
  }
  return best;
}
