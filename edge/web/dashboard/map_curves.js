/**
 * Lines of the map. Each way of sessions is the same number of curves, however many stops it has, so that a browser can bend
 * one into another when a session moves.
 *
 *   client ~ its supernode ~ the exit's supernode ~ exit: three cubic curves that leave and arrive sideways
 */

/** @typedef {{ x: number, y: number }} Spot */
/** @typedef {readonly [Spot, Spot, Spot, Spot]} Curve where it begins, two that it bends to, where it ends */

/**
 * @param {readonly Spot[]} stops two to four
 * @param {number} lane how far beside the others' it runs
 * @returns {Curve[]}
 */
export function wayOf(stops, lane) {
  const [first, second = first, third = second] = stops;
  const last = stops.at(-1);
  if (!first || !last) return [];
  const middle = stops.length < 4 ? second : third;
  return [
    curve(/** @type {Spot} */ (first), /** @type {Spot} */ (second), lane),
    curve(/** @type {Spot} */ (second), /** @type {Spot} */ (middle), lane, archOf(second, middle)),
    curve(/** @type {Spot} */ (middle), last, lane),
  ];
}

/**
 * Between supernodes lines rise above what stands beside them.
 * @param {Spot | undefined} from
 * @param {Spot | undefined} to
 */
export function archOf(from, to) {
  return from && to && from !== to ? 18 + 0.06 * Math.abs(to.x - from.x) : 0;
}

/**
 * @param {Spot} from
 * @param {Spot} to
 * @param {number} [lane]
 * @param {number} [arch]
 * @returns {Curve}
 */
export function curve(from, to, lane = 0, arch = 0) {
  const [right, down] = [to.x - from.x, to.y - from.y];
  // One above the other: around what stands between.
  const isSteep = Math.abs(right) < Math.abs(down) * 0.5;
  const reach = isSteep ? 46 : right / 2;
  const back = isSteep ? -46 : right / 2;
  return [
    from,
    { x: from.x + reach, y: from.y - (isSteep ? 0 : arch) + lane + (isSteep ? down * 0.3 : 0) },
    { x: to.x - back, y: to.y - (isSteep ? 0 : arch) + lane - (isSteep ? down * 0.3 : 0) },
    to,
  ];
}

/** @param {readonly Curve[]} curves */
export function pathText(curves) {
  const [first] = curves;
  if (!first) return "";
  const rest = curves.map(([, a, b, to]) => `C${spotText(a)} ${spotText(b)} ${spotText(to)}`);
  return `M${spotText(first[0])}${rest.join("")}`;
}

/** @param {Spot} spot */
function spotText({ x, y }) {
  return `${Math.round(x * 10) / 10} ${Math.round(y * 10) / 10}`;
}

/**
 * Where something is that has gone that part of a curve.
 * @param {Curve} curve
 * @param {number} part from 0 to 1
 * @returns {Spot}
 */
export function along([from, a, b, to], part) {
  const rest = 1 - part;
  const [w0, w1, w2, w3] = [rest ** 3, 3 * rest * rest * part, 3 * rest * part * part, part ** 3];
  return { x: w0 * from.x + w1 * a.x + w2 * b.x + w3 * to.x, y: w0 * from.y + w1 * a.y + w2 * b.y + w3 * to.y };
}

/** @param {Curve} curve */
export function lengthOf([from, a, b, to]) {
  const chord = Math.hypot(to.x - from.x, to.y - from.y);
  const around = Math.hypot(a.x - from.x, a.y - from.y) + Math.hypot(b.x - a.x, b.y - a.y) +
    Math.hypot(to.x - b.x, to.y - b.y);
  return (chord + around) / 2;
}
