/**
 * Which exit is best for a client. What does not meet the wish is left out; the rest is ranked by
 *
 *   score = health² · ease · roominess · nearness              each factor from 0 to 1
 *
 *   health     the share of probes of the data path that came back; squared, since a retry costs more than it says
 *   ease       1 − load
 *   roominess  min(1, bandwidth / wanted), wanted = twice the least that was asked for, or 100 Mbit/s if nothing was
 *   nearness   100 ms / (100 ms + latency)
 *
 * What is unknown is taken for mediocre, not for bad, or nobody would ever find out: 20 Mbit/s, 150 ms. It passes the
 * filters for the same reason. Ease and roominess are never below a fiftieth: one client's download may fill the only exit
 * there is, and the next client is better off with a share of it than with nothing. An exit that really takes no more
 * refuses, and the next is tried. Each score is then varied by up to a tenth by chance, so that all the clients who ask in
 * the same second do not end up at the same exit; one that is clearly better still wins.
 *
 * Latency is the whole way: whoever ranks adds the way to the candidate's supernode first.
 */

import type { ExitCandidate } from "../directory.ts";
import type { Random } from "../random.ts";
import type { ExitWish } from "./messages.ts";

const UNKNOWN_BANDWIDTH_MBPS = 20;
const UNKNOWN_LATENCY_MS = 150;
const WANTED_MBPS = 100;
const HALF_NEARNESS_MS = 100;
const CHANCE = 0.1;
const LEAST = 0.02;

export interface Ranked {
  readonly candidate: ExitCandidate;
  /** Above 0, at most 1, without the chance in it. */
  readonly score: number;
}

/** Whether the candidate will do at all. */
export function meetsWish(candidate: ExitCandidate, wish: ExitWish): boolean {
  const { region, minBandwidthMbps = 0, maxLatencyMs = Infinity, exclude = [], carries } = wish;
  if (region !== undefined && candidate.region !== region) return false;
  if (carries === "packets" && !candidate.carriesPackets) return false;
  if (candidate.health <= 0 || exclude.includes(candidate.exit.peerId)) return false;
  return (candidate.bandwidthMbps ?? Infinity) >= minBandwidthMbps && (candidate.latencyMs ?? 0) <= maxLatencyMs;
}

/** Whether another client would get more than leftovers, as far as is known. */
export function hasRoom({ load, bandwidthMbps = UNKNOWN_BANDWIDTH_MBPS }: ExitCandidate): boolean {
  return load < 1 && bandwidthMbps > 0;
}

/** How good a candidate is that meets the wish. */
export function scoreOf(candidate: ExitCandidate, wish: ExitWish): number {
  const { health, load, latencyMs = UNKNOWN_LATENCY_MS, bandwidthMbps = UNKNOWN_BANDWIDTH_MBPS } = candidate;
  const wantedMbps = wish.minBandwidthMbps ? 2 * wish.minBandwidthMbps : WANTED_MBPS;
  const ease = Math.max(LEAST, 1 - load);
  const roominess = Math.max(LEAST, Math.min(1, bandwidthMbps / wantedMbps));
  const nearness = HALF_NEARNESS_MS / (HALF_NEARNESS_MS + latencyMs);
  return health ** 2 * ease * roominess * nearness;
}

/** Those that will do, best first; without `random`, in the order of their scores alone. */
export function rank(candidates: readonly ExitCandidate[], wish: ExitWish, random?: Random): Ranked[] {
  const rows: { ranked: Ranked; drawn: number }[] = [];
  for (const candidate of candidates) {
    if (!meetsWish(candidate, wish)) continue;
    const score = scoreOf(candidate, wish);
    if (score > 0) rows.push({ ranked: { candidate, score }, drawn: score * (1 - CHANCE * (random?.next() ?? 0)) });
  }
  return rows.sort((one, other) => other.drawn - one.drawn).map(({ ranked }) => ranked);
}
