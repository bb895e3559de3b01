/**
 * What becomes of a node by what is seen of it: the watchdog's rules, as a pure machine.
 *
 *   probation ──20 good probes over an hour──▶ good ◀──well for 10 min── flagged ◀──well for 30 min── quarantined
 *        └──────────── unwell for 5 min, or a bad address ─────────────────▶ │ ──unwell for 30 min──────▶ │
 *                                 caught lying: at once quarantined ─────────┴──────────────────────────▶ │
 *                                          quarantined a third time within a week, or caught lying thrice ─▶ banned
 *
 * Newcomers get a share of clients, flagged nodes fewer, those in quarantine only probes, banned ones no tunnel. Out of a
 * ban leads only an admin's word, for which owners may appeal. Every change has a reason that its owner is told.
 */

import type { QualityFigures } from "./quality.ts";
import type { NodeStanding } from "./records.ts";

export interface StandingChange {
  readonly standing: NodeStanding;
  /** A sentence for the owner. */
  readonly reason: string;
}

export interface StandingRules {
  readonly goodProbes: number;
  readonly probationMs: number;
  /** Below this, or with so many probes missed in a row, a node is unwell. */
  readonly unwellScore: number;
  readonly unwellMisses: number;
  /** From this on it is well again. */
  readonly wellScore: number;
  /** From this risk on an address is bad. */
  readonly badIpRisk: number;
  readonly flagAfterMs: number;
  readonly quarantineAfterMs: number;
  readonly unflagAfterMs: number;
  readonly releaseAfterMs: number;
  /** So many quarantines within `memoryMs`, or lies, are a ban. */
  readonly quarantinesToBan: number;
  readonly liesToBan: number;
  readonly memoryMs: number;
}

export const defaultStandingRules: StandingRules = {
  goodProbes: 20,
  probationMs: 60 * 60_000,
  unwellScore: 0.35,
  unwellMisses: 3,
  wellScore: 0.5,
  badIpRisk: 0.75,
  flagAfterMs: 5 * 60_000,
  quarantineAfterMs: 30 * 60_000,
  unflagAfterMs: 10 * 60_000,
  releaseAfterMs: 30 * 60_000,
  quarantinesToBan: 3,
  liesToBan: 3,
  memoryMs: 7 * 86_400_000,
};

/** What is kept of a node between two looks; plain data. */
export interface StandingMemory {
  readonly standing: NodeStanding;
  readonly sinceMs: number;
  /** Since when it has been unwell, or well, without a break. */
  readonly unwellSinceMs: number | undefined;
  readonly wellSinceMs: number | undefined;
  readonly quarantinesAtMs: readonly number[];
  readonly liesAtMs: readonly number[];
}

export function newStanding(standing: NodeStanding, nowMs: number): StandingMemory {
  return {
    standing,
    sinceMs: nowMs,
    unwellSinceMs: undefined,
    wellSinceMs: undefined,
    quarantinesAtMs: standing === "quarantined" ? [nowMs] : [],
    liesAtMs: [],
  };
}

/** What was seen since the last look. */
export interface Evidence {
  readonly figures: QualityFigures;
  readonly ipRisk: number | undefined;
  /** It was caught: what with, as the end of a sentence that begins with "The node". */
  readonly lie?: string;
}

export interface Verdict {
  readonly memory: StandingMemory;
  /** Present when the standing changes. */
  readonly change?: StandingChange;
}

/** Looks at a node. */
export function judge(
  memory: StandingMemory,
  evidence: Evidence,
  nowMs: number,
  rules: StandingRules = defaultStandingRules,
): Verdict {
  const noted = note(memory, evidence, nowMs, rules);
  const change = changeOf(noted, evidence, nowMs, rules);
  if (!change) return { memory: noted };
  return { memory: changed(noted, change.standing, nowMs), change };
}

/** An admin's word stands, and what was held against the node is forgotten when it is let in again. */
export function decree(memory: StandingMemory, standing: NodeStanding, nowMs: number): StandingMemory {
  return standing === "banned" || standing === "quarantined"
    ? changed(memory, standing, nowMs)
    : newStanding(standing, nowMs);
}

function changed(memory: StandingMemory, standing: NodeStanding, nowMs: number): StandingMemory {
  const quarantinesAtMs = standing === "quarantined" ? [...memory.quarantinesAtMs, nowMs] : memory.quarantinesAtMs;
  return { ...memory, standing, sinceMs: nowMs, unwellSinceMs: undefined, wellSinceMs: undefined, quarantinesAtMs };
}

function note(memory: StandingMemory, evidence: Evidence, nowMs: number, rules: StandingRules): StandingMemory {
  const isRecent = (atMs: number) => nowMs - atMs < rules.memoryMs;
  const isUnwell = unwellness(evidence, rules) !== undefined;
  const isWell = !isUnwell && evidence.figures.misses === 0 && evidence.figures.score >= rules.wellScore;
  const lies = memory.liesAtMs.filter(isRecent);
  return {
    ...memory,
    unwellSinceMs: isUnwell ? memory.unwellSinceMs ?? nowMs : undefined,
    wellSinceMs: isWell ? memory.wellSinceMs ?? nowMs : undefined,
    quarantinesAtMs: memory.quarantinesAtMs.filter(isRecent),
    liesAtMs: evidence.lie === undefined ? lies : [...lies, nowMs],
  };
}

/** What is wrong with it, as the end of a sentence; undefined when it is not unwell. */
function unwellness({ figures, ipRisk }: Evidence, rules: StandingRules): string | undefined {
  if (figures.misses >= rules.unwellMisses) return `did not answer ${figures.misses} probes in a row`;
  if (ipRisk !== undefined && ipRisk >= rules.badIpRisk) return "has an internet address of ill repute";
  if (figures.score < rules.unwellScore) {
    return `has a quality of ${percent(figures.score)} and needs ${percent(rules.unwellScore)}`;
  }
  return undefined;
}

function changeOf(
  memory: StandingMemory,
  evidence: Evidence,
  nowMs: number,
  rules: StandingRules,
): StandingChange | undefined {
  const { standing } = memory;
  if (standing === "banned") return undefined;
  if (evidence.lie !== undefined) return caught(memory, evidence.lie, rules);
  const hasBeen = (sinceMs: number | undefined, forMs: number) => sinceMs !== undefined && nowMs - sinceMs >= forMs;
  const complaint = unwellness(evidence, rules);
  if (standing === "quarantined") {
    if (!hasBeen(memory.wellSinceMs, rules.releaseAfterMs)) return undefined;
    return { standing: "flagged", reason: `The node has been well for ${minutes(rules.releaseAfterMs)}` };
  }
  if (standing === "flagged") {
    if (complaint !== undefined && hasBeen(memory.unwellSinceMs, rules.quarantineAfterMs)) {
      return quarantine(memory, `still ${complaint}`, rules);
    }
    if (!hasBeen(memory.wellSinceMs, rules.unflagAfterMs)) return undefined;
    return { standing: "good", reason: `The node has been well for ${minutes(rules.unflagAfterMs)}` };
  }
  if (complaint !== undefined && hasBeen(memory.unwellSinceMs, rules.flagAfterMs)) {
    return { standing: "flagged", reason: `The node ${complaint}` };
  }
  const isProven = evidence.figures.goodProbes >= rules.goodProbes && evidence.figures.score >= rules.wellScore;
  if (standing === "probation" && isProven && nowMs - memory.sinceMs >= rules.probationMs) {
    return { standing: "good", reason: `The node has answered ${evidence.figures.goodProbes} probes well` };
  }
  return undefined;
}

function caught(memory: StandingMemory, lie: string, rules: StandingRules): StandingChange | undefined {
  if (memory.liesAtMs.length >= rules.liesToBan) {
    return { standing: "banned", reason: `The node ${lie}, and was caught ${memory.liesAtMs.length} times` };
  }
  return memory.standing === "quarantined" ? undefined : quarantine(memory, lie, rules);
}

function quarantine(memory: StandingMemory, complaint: string, rules: StandingRules): StandingChange {
  const times = memory.quarantinesAtMs.length + 1;
  if (times < rules.quarantinesToBan) return { standing: "quarantined", reason: `The node ${complaint}` };
  return { standing: "banned", reason: `The node ${complaint}, and had to be put in quarantine ${times} times` };
}

function percent(part: number): string {
  return `${Math.round(part * 100)} %`;
}

function minutes(ms: number): string {
  return `${Math.round(ms / 60_000)} minutes`;
}
