/**
 * The live nodes by what clients choose among: made from the list of them all when it is asked for, and kept for a moment,
 * since thousands of dials a second cannot each look at ten thousand nodes. A node that has come since may wait for that
 * moment, unless nothing else would do; one that has gone meanwhile is seen to be closed when it is drawn.
 */

import type { Clock } from "../../protocol/clock.ts";
import { fits, mayServe, type NodeChoice, type Pool, type QualityOf } from "../../protocol/sharing/choice.ts";
import type { LiveNode, LiveNodes } from "./live_nodes.ts";

const FRESH_MS = 1_000;
/** When nodes come and go, or nothing was found. */
const LEAST_FRESH_MS = 50;
/** Different choices kept at a time; there is no end to those that clients may think of. */
const MAX_POOLS = 256;

interface KeptPool extends Pool<LiveNode> {
  readonly madeAtMs: number;
  /** How many nodes there were in all. */
  readonly ofNodes: number;
}

export class NodePools {
  readonly #nodes: LiveNodes;
  readonly #quality: QualityOf;
  readonly #clock: Clock;
  readonly #pools = new Map<string, KeptPool>();

  constructor(nodes: LiveNodes, quality: QualityOf, clock: Clock) {
    this.#nodes = nodes;
    this.#quality = quality;
    this.#clock = clock;
  }

  /** The nodes that fit and may serve. */
  of(choice: NodeChoice): Pool<LiveNode> {
    const key = `${choice.country ?? ""} ${choice.region ?? ""} ${choice.city ?? ""}`;
    const kept = this.#pools.get(key);
    if (kept && this.#isFresh(kept)) return kept;
    if (!kept && this.#pools.size >= MAX_POOLS) this.#pools.clear();
    const made = this.#make(choice);
    this.#pools.set(key, made);
    return made;
  }

  #isFresh({ madeAtMs, ofNodes, proven, newcomers }: KeptPool): boolean {
    const ageMs = this.#clock.now() - madeAtMs;
    const mayHaveChanged = ofNodes !== this.#nodes.size || proven.length + newcomers.length === 0;
    return ageMs < (mayHaveChanged ? LEAST_FRESH_MS : FRESH_MS);
  }

  #make(choice: NodeChoice): KeptPool {
    const proven: LiveNode[] = [];
    const newcomers: LiveNode[] = [];
    for (const node of this.#nodes.all()) {
      if (!fits(node, choice)) continue;
      const { standing } = this.#quality(node.nodeId);
      if (standing === "probation") newcomers.push(node);
      else if (mayServe(standing)) proven.push(node);
    }
    return { proven, newcomers, madeAtMs: this.#clock.now(), ofNodes: this.#nodes.size };
  }
}
