/**
 * How good a node is, as one figure from 0 to 1: the same for choosing among nodes, for the watchdog, and for what owners
 * and clients are shown.
 *
 *   score = 0.4 · reliability + 0.3 · latency + 0.2 · throughput + 0.1 · reputation
 *
 *   reliability  share of probes and dials that went well
 *   latency      1 up to 50 ms, 0 from 2 s, even in powers between
 *   throughput   0 up to 1 Mbit/s, 1 from 100, even in powers between
 *   reputation   1 − the risk of its address
 *
 * Each is an average that forgets: what is half an hour old counts half. A node that is not asked keeps its figure, since
 * silence says nothing. What is unknown counts as mediocre. A dial counts less than a probe: its target may be to blame.
 */

export interface ProbeOutcome {
  /** Undefined: no answer, or a wrong one. */
  readonly latencyMs?: number;
  readonly throughputMbps?: number;
}

/** What a dial through the node said of the node; a target's own refusal says nothing. */
export type DialOutcome = "ok" | "fault";

export interface QualityFigures {
  readonly score: number;
  readonly reliability: number;
  readonly latencyMs: number | undefined;
  readonly throughputMbps: number | undefined;
  /** Probes that went well, ever, and that did not, in a row. */
  readonly goodProbes: number;
  readonly misses: number;
}

const HALF_LIFE_MS = 30 * 60_000;
const UNKNOWN = 0.5;
const BEST_LATENCY_MS = 50;
const WORST_LATENCY_MS = 2000;
const WORST_MBPS = 1;
const BEST_MBPS = 100;
const DIAL_WEIGHT = 0.2;
/** Beyond what can be seen, and so that an infinite figure, of a clock that stood still, does not stay for ever. */
const MAX_SEEN = 1e6;
/** However much was seen: so that the newest ten probes are never less than half of the whole. */
const MAX_WEIGHT = 10;

export class NodeQuality {
  readonly #reliability = new FadingMean();
  readonly #latencyMs = new FadingMean();
  readonly #throughputMbps = new FadingMean();
  #ipRisk: number | undefined;
  #goodProbes = 0;
  #misses = 0;

  /** The risk of its address, from 0 to 1; undefined when nobody knows. */
  set ipRisk(risk: number | undefined) {
    this.#ipRisk = risk;
  }

  get ipRisk(): number | undefined {
    return this.#ipRisk;
  }

  probed({ latencyMs, throughputMbps }: ProbeOutcome, nowMs: number): void {
    const isGood = latencyMs !== undefined;
    this.#reliability.add(isGood ? 1 : 0, 1, nowMs);
    if (isGood) {
      this.#goodProbes++;
      this.#misses = 0;
      this.#latencyMs.add(Math.min(latencyMs, MAX_SEEN), 1, nowMs);
    } else this.#misses++;
    if (throughputMbps !== undefined) this.#throughputMbps.add(Math.min(throughputMbps, MAX_SEEN), 1, nowMs);
  }

  dialled(outcome: DialOutcome, nowMs: number): void {
    this.#reliability.add(outcome === "ok" ? 1 : 0, DIAL_WEIGHT, nowMs);
  }

  get figures(): QualityFigures {
    const reliability = this.#reliability.mean ?? UNKNOWN;
    const latencyMs = this.#latencyMs.mean;
    const throughputMbps = this.#throughputMbps.mean;
    const latency = latencyMs === undefined ? UNKNOWN : 1 - share(latencyMs, BEST_LATENCY_MS, WORST_LATENCY_MS);
    const throughput = throughputMbps === undefined ? UNKNOWN : share(throughputMbps, WORST_MBPS, BEST_MBPS);
    const reputation = this.#ipRisk === undefined ? UNKNOWN : 1 - this.#ipRisk;
    const score = 0.4 * reliability + 0.3 * latency + 0.2 * throughput + 0.1 * reputation;
    return { score, reliability, latencyMs, throughputMbps, goodProbes: this.#goodProbes, misses: this.#misses };
  }
}

/** Where a value stands between two others in powers, from 0 to 1. */
function share(value: number, low: number, high: number): number {
  return Math.min(1, Math.max(0, Math.log(value / low) / Math.log(high / low)));
}

/** A mean in which what is older counts less. It is kept as a mean, not as a sum: of what is finite it stays finite. */
class FadingMean {
  #mean = 0;
  #weight = 0;
  #atMs = 0;

  get mean(): number | undefined {
    return this.#weight === 0 ? undefined : this.#mean;
  }

  add(value: number, weight: number, nowMs: number): void {
    const room = Math.max(0, MAX_WEIGHT - weight) / Math.max(this.#weight, Number.MIN_VALUE);
    const fade = Math.min(0.5 ** (Math.max(0, nowMs - this.#atMs) / HALF_LIFE_MS), room);
    this.#weight = this.#weight * fade + weight;
    this.#mean += (value - this.#mean) * (weight / this.#weight);
    this.#atMs = nowMs;
  }
}
