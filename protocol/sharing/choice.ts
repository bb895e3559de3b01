/**
 * Which node a stream takes. Two are drawn by weight and the one with less to do for its weight wins ("the power of two
 * choices", Mitzenmacher 1996), so good nodes get more and crowded ones less without anybody comparing them all.
 *
 *   weight   the square of the score: twice as good is four times as often; flagged nodes a quarter of that
 *   load     streams ÷ weight
 *
 * Newcomers have their share by number, but not more than one choice in ten as long as there are others: they are unproven.
 * Quarantined and banned nodes are never chosen, not even by name. Pure: chance is handed in.
 */

import { type Random, randomInt } from "../random.ts";
import type { NodeStanding } from "./records.ts";

/** What a client wants of a node; what is undefined does not matter. Names in lower case. */
export interface NodeChoice {
  readonly country?: string | undefined;
  readonly region?: string | undefined;
  readonly city?: string | undefined;
  readonly nodeId?: string | undefined;
}

/** What a choice looks at. */
export interface Candidate {
  readonly nodeId: string;
  readonly country: string | undefined;
  readonly region: string;
  readonly city: string | undefined;
  /** Takes new streams. */
  readonly isOpen: boolean;
  readonly streams: number;
}

/** What is known of how good a node is. */
export interface ChoiceQuality {
  /** 0 to 1. */
  readonly score: number;
  readonly standing: NodeStanding;
}

export type QualityOf = (nodeId: string) => ChoiceQuality;

/** The most that goes to newcomers, as a share of choices. */
export const PROBATION_SHARE = 0.1;

/** Even the worst is tried now and then: it may have become better. */
const LEAST_WEIGHT = 0.01;
const FLAGGED_WEIGHT = 0.25;
/** Draws by weight before the last one stands whatever it weighs. */
const MAX_DRAWS = 24;

/** Whether the node is what is wanted, wherever it stands. */
export function fits(node: Candidate, choice: NodeChoice): boolean {
  return (choice.nodeId === undefined || choice.nodeId === node.nodeId) &&
    (choice.country === undefined || choice.country === node.country) &&
    (choice.region === undefined || choice.region === node.region) &&
    (choice.city === undefined || choice.city === node.city);
}

/** Whether a node of this standing may be used at all. */
export function mayServe(standing: NodeStanding): boolean {
  return standing !== "quarantined" && standing !== "banned";
}

/** Nodes that fit one choice, by whether they have proven themselves. */
export interface Pool<N extends Candidate> {
  readonly proven: readonly N[];
  readonly newcomers: readonly N[];
}

export interface ChoiceOptions {
  readonly quality: QualityOf;
  readonly random: Random;
  /** Ids of nodes that were tried in vain. */
  readonly tried?: ReadonlySet<string>;
}

/** Picks a node; undefined when none is left. */
export function chooseNode<N extends Candidate>(pool: Pool<N>, options: ChoiceOptions): N | undefined {
  const { newcomers, proven } = pool;
  // A single one among thousands would be crushed by a tenth, and it would be a cheap way to many clients' traffic.
  const share = Math.min(PROBATION_SHARE, newcomers.length / (newcomers.length + proven.length));
  const toNewcomer = newcomers.length > 0 && options.random.next() < share;
  const [first, second] = toNewcomer ? [pool.newcomers, pool.proven] : [pool.proven, pool.newcomers];
  return lessBusyOfTwo(first, options) ?? lessBusyOfTwo(second, options);
}

/** How often a node of this quality is chosen, beside others; 0 is never. */
export function weightOf({ score, standing }: ChoiceQuality): number {
  if (!mayServe(standing)) return 0;
  const weight = Math.max(LEAST_WEIGHT, score * score);
  return standing === "flagged" ? weight * FLAGGED_WEIGHT : weight;
}

function lessBusyOfTwo<N extends Candidate>(nodes: readonly N[], options: ChoiceOptions): N | undefined {
  const one = draw(nodes, options);
  if (!one) return undefined;
  const other = draw(nodes, options);
  return other && load(other, options) < load(one, options) ? other : one;
}

function load(node: Candidate, { quality }: ChoiceOptions): number {
  return (node.streams + 1) / weightOf(quality(node.nodeId));
}

/**
 * One by weight: any of them, kept with a chance as great as its weight. No sum over them all is needed, which for ten
 * thousand nodes and thousands of streams a second would be most of the work. When luck does not help, the first that will
 * do from a random place on.
 */
function draw<N extends Candidate>(nodes: readonly N[], options: ChoiceOptions): N | undefined {
  if (nodes.length === 0) return undefined;
  const { random } = options;
  for (let turn = 0; turn < MAX_DRAWS; turn++) {
    const node = nodes[randomInt(random, nodes.length)]!;
    const weight = usableWeight(node, options);
    if (weight > 0 && random.next() < weight) return node;
  }
  const start = randomInt(random, nodes.length);
  for (let step = 0; step < nodes.length; step++) {
    const node = nodes[(start + step) % nodes.length]!;
    if (usableWeight(node, options) > 0) return node;
  }
  return undefined;
}

function usableWeight(node: Candidate, { quality, tried }: ChoiceOptions): number {
  return node.isOpen && !tried?.has(node.nodeId) ? weightOf(quality(node.nodeId)) : 0;
}
