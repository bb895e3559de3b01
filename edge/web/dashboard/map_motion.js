/**
 * What moves along the ways of sessions: dots, on a canvas over the map as large as can be seen of it, so that a frame costs
 * the same however large the network is. Nothing moves for those who asked for that, nor while nobody can see it.
 */

import { along, lengthOf } from "./map_curves.js";

/** @import { Curve } from "./map_curves.js" */

/** @typedef {{ curves: readonly Curve[], sessions: number, isMoving: boolean }} Way */
/** @typedef {{ way: Way, from: readonly Curve[], sinceMs: number, lengths: number[], dots: number, start: number }} Lane */

const PIXELS_A_SECOND = 80;
const APART = 130;
const MOST_DOTS = 420;
/** Where a way begins and ends stands a peer, which is to be seen. */
const HIDDEN = 14;
const MANY = 40;
/** As long as the styles let a line bend. */
const BEND_MS = 600;

export class Motion {
  element = document.createElement("canvas");
  /** @type {Map<string, Lane>} */
  #lanes = new Map();
  #size = { width: 0, height: 0 };
  #box;
  #isSeen = false;
  #isStill = matchMedia("(prefers-reduced-motion: reduce)");
  #color = "";
  #movingColor = "";
  #frame = 0;

  /**
   * @param {HTMLElement} box what the canvas lies over
   * @param {AbortSignal} signal
   */
  constructor(box, signal) {
    this.#box = box;
    this.element.setAttribute("aria-hidden", "true");
    const seen = new IntersectionObserver(([entry]) => {
      this.#isSeen = entry?.isIntersecting === true;
      this.#go();
    });
    seen.observe(box);
    const recolor = () => this.#color = "";
    document.addEventListener("themechange", recolor, { signal });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolor, { signal });
    this.#isStill.addEventListener("change", () => this.#go(), { signal });
    signal.addEventListener("abort", () => {
      seen.disconnect();
      cancelAnimationFrame(this.#frame);
    }, { once: true });
  }

  /**
   * @param {ReadonlyMap<string, Way>} ways
   * @param {{ width: number, height: number }} size of the map
   */
  show(ways, size) {
    this.#size = size;
    for (const key of this.#lanes.keys()) if (!ways.has(key)) this.#lanes.delete(key);
    for (const [key, way] of ways) this.#lanes.set(key, laneOf(way, this.#lanes.get(key), this.#lanes.size));
    this.#go();
  }

  #go() {
    cancelAnimationFrame(this.#frame);
    this.element.hidden = this.#isStill.matches;
    if (this.#isSeen && !this.#isStill.matches) this.#frame = requestAnimationFrame((nowMs) => this.#draw(nowMs));
  }

  /** @param {number} nowMs */
  #draw(nowMs) {
    this.#frame = requestAnimationFrame((nowMs) => this.#draw(nowMs));
    const context = this.element.getContext("2d");
    if (!context || this.#size.width === 0) return;
    const seen = this.#stand(context);
    this.#readColors();
    const calm = new Path2D();
    const moving = new Path2D();
    let left = MOST_DOTS;
    for (const lane of this.#lanes.values()) {
      if (left <= 0) break;
      left -= lane.dots;
      drawLane(lane, { nowMs, seen, scale: this.#lanes.size > MANY ? 0.75 : 1 }, lane.way.isMoving ? moving : calm);
    }
    context.fillStyle = this.#color;
    context.fill(calm);
    context.fillStyle = this.#movingColor;
    context.fill(moving);
  }

  /**
   * Over the part of the map that can be seen, and empty; how far down that is.
   * @param {CanvasRenderingContext2D} context
   */
  #stand(context) {
    const box = this.#box.getBoundingClientRect();
    const scale = box.width / this.#size.width;
    const width = Math.round(box.width);
    const height = Math.round(Math.min(box.height, innerHeight));
    const top = Math.max(0, Math.min(-box.top, box.height - height));
    const canvas = this.element;
    const density = Math.min(devicePixelRatio, 2);
    if (canvas.width !== Math.round(width * density) || canvas.height !== Math.round(height * density)) {
      canvas.width = Math.round(width * density);
      canvas.height = Math.round(height * density);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    canvas.style.transform = `translateY(${top}px)`;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(density * scale, 0, 0, density * scale, 0, -top * density);
    return { from: top / scale - 8, to: (top + height) / scale + 8 };
  }

  #readColors() {
    if (this.#color !== "") return;
    const style = getComputedStyle(this.element);
    this.#color = style.color;
    this.#movingColor = style.outlineColor;
  }
}

/**
 * @param {Way} way
 * @param {Lane | undefined} before
 * @param {number} place
 * @returns {Lane}
 */
function laneOf(way, before, place) {
  if (before && isSame(before.way.curves, way.curves)) return Object.assign(before, { way });
  const lengths = way.curves.map(lengthOf);
  const length = lengths.reduce((sum, each) => sum + each, 0);
  return {
    way,
    from: before?.way.curves ?? way.curves,
    sinceMs: before ? performance.now() : -BEND_MS,
    lengths,
    dots: Math.max(1, Math.min(5, Math.round(length / APART))),
    start: before?.start ?? (place * 0.618) % 1,
  };
}

/**
 * @param {readonly Curve[]} one
 * @param {readonly Curve[]} other
 */
function isSame(one, other) {
  return one.length === other.length &&
    one.every((curve, at) => curve.every(({ x, y }, spot) => x === other[at]?.[spot]?.x && y === other[at]?.[spot]?.y));
}

/**
 * @param {Lane} lane
 * @param {{ nowMs: number, seen: { from: number, to: number }, scale: number }} frame `seen`: how much of the map, downwards
 * @param {Path2D} path
 */
function drawLane(lane, { nowMs, seen, scale }, path) {
  const { way, lengths, dots, start } = lane;
  const length = lengths.reduce((sum, each) => sum + each, 0);
  if (length === 0) return;
  const bent = eased((nowMs - lane.sinceMs) / BEND_MS);
  const radius = scale * (way.sessions > 20 ? 3.4 : way.sessions > 1 ? 2.8 : 2.4);
  const speed = way.isMoving ? 2 * PIXELS_A_SECOND : PIXELS_A_SECOND;
  for (let each = 0; each < dots; each++) {
    const far = (start + each / dots + nowMs / 1000 * speed / length) % 1 * length;
    if (far < HIDDEN || far > length - HIDDEN) continue;
    const spot = spotAt(way.curves, lengths, far);
    const before = bent < 1 ? spotAt(lane.from, lengths, far) : spot;
    const x = before.x + (spot.x - before.x) * bent;
    const y = before.y + (spot.y - before.y) * bent;
    if (y < seen.from || y > seen.to) continue;
    path.moveTo(x + radius, y);
    path.arc(x, y, radius, 0, 2 * Math.PI);
  }
}

/**
 * @param {readonly Curve[]} curves
 * @param {readonly number[]} lengths
 * @param {number} far
 */
function spotAt(curves, lengths, far) {
  let left = far;
  for (const [at, curve] of curves.entries()) {
    const length = lengths[at] ?? 0;
    if (left <= length && length > 0) return along(curve, left / length);
    left -= length;
  }
  return curves.at(-1)?.[3] ?? { x: 0, y: 0 };
}

/** @param {number} part */
function eased(part) {
  const held = Math.max(0, Math.min(1, part));
  return held * held * (3 - 2 * held);
}
