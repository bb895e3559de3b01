/**
 * What charts show of the past: a point every `HISTORY_STEP_MS` at most, the newest `HISTORY_POINTS` of them.
 *
 * Throughput is what supernodes have counted since the point before; one that was started again counts from nothing, and is left
 * out of one point. What peers say of their throughput is their own affair, and is not in it.
 */

import { HISTORY_POINTS, HISTORY_STEP_MS, type Point } from "./api.ts";
import { MAX_RTT_MS, plainNumber, rounded } from "./plain.ts";
import type { Snapshot } from "./snapshot.ts";

interface Counted {
  readonly rxBytes: number;
  readonly txBytes: number;
}

export class History {
  readonly #points: Point[] = [];
  #counted: ReadonlyMap<string, Counted> = new Map();

  /** Oldest first. */
  get points(): readonly Point[] {
    return this.#points;
  }

  /** The point it makes, if it is time for one. */
  note(snapshot: Snapshot): Point | undefined {
    const { atMs, peers, sessions } = snapshot;
    const tookMs = atMs - (this.#points.at(-1)?.atMs ?? 0);
    // A little early is in time: whoever asks does so by a timer of its own.
    if (tookMs >= 0 && tookMs < HISTORY_STEP_MS * 0.75) return undefined;
    const counted = countedBy(snapshot);
    const point = {
      atMs,
      ...throughputOf(this.#counted, counted, tookMs),
      ...roundTripsOf(snapshot),
      sessions: sessions.length,
      peers: peers.length,
    };
    this.#counted = counted;
    this.#points.push(point);
    if (this.#points.length > HISTORY_POINTS) this.#points.shift();
    return point;
  }
}

function countedBy({ supernodes }: Snapshot): Map<string, Counted> {
  const counted = new Map<string, Counted>();
  for (const { supernodeId, traffic } of supernodes) {
    const rxBytes = plainNumber(traffic?.rxBytes, Number.MAX_SAFE_INTEGER);
    const txBytes = plainNumber(traffic?.txBytes, Number.MAX_SAFE_INTEGER);
    if (rxBytes !== undefined && txBytes !== undefined) counted.set(supernodeId, { rxBytes, txBytes });
  }
  return counted;
}

function throughputOf(
  before: ReadonlyMap<string, Counted>,
  now: ReadonlyMap<string, Counted>,
  tookMs: number,
): Pick<Point, "rxMbps" | "txMbps"> {
  let [rxBytes, txBytes, known] = [0, 0, 0];
  for (const [id, counted] of now) {
    const last = before.get(id);
    if (!last || counted.rxBytes < last.rxBytes || counted.txBytes < last.txBytes) continue;
    rxBytes += counted.rxBytes - last.rxBytes;
    txBytes += counted.txBytes - last.txBytes;
    known++;
  }
  if (known === 0 || tookMs <= 0) return { rxMbps: null, txMbps: null };
  return { rxMbps: mbpsOf(rxBytes, tookMs), txMbps: mbpsOf(txBytes, tookMs) };
}

function mbpsOf(bytes: number, tookMs: number): number {
  return Math.round(bytes * 8 / tookMs) / 1000;
}

function roundTripsOf({ peers }: Snapshot): Pick<Point, "rttP50Ms" | "rttP95Ms"> {
  const all = new Float64Array(peers.length);
  let count = 0;
  for (const { rttMs } of peers) {
    const known = plainNumber(rttMs, MAX_RTT_MS);
    if (known !== undefined) all[count++] = known;
  }
  if (count === 0) return { rttP50Ms: null, rttP95Ms: null };
  const sorted = all.subarray(0, count).sort();
  const at = (share: number) => rounded(sorted[Math.min(count - 1, Math.floor(share * count))]!) ?? null;
  return { rttP50Ms: at(0.5), rttP95Ms: at(0.95) };
}
