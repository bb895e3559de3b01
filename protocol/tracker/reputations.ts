/**
 * What peers say of how others have served them.
 *
 * Each reporter has one voice about a peer, which follows what it says slowly, so that saying it more often changes little.
 * A peer's reliability is the mean of the voices and its bandwidth their median, once there are three. Identities cost
 * nothing: who makes many can praise or blacken anybody, so this is a hint for whom to ask first, and no more.
 *
 * So many peers are remembered at most, those of whom nothing was heard for longest forgotten first; so many voices for each,
 * the oldest giving way.
 */

import type { Outcome, Report } from "./messages.ts";

/** What one reporter thinks of a peer. */
export interface Voice {
  readonly by: string;
  /** From 0 to 1. */
  readonly score: number;
  /** 0 while nothing large enough to tell has come. */
  readonly mbps: number;
}

export interface Standing {
  readonly reliability: number;
  readonly bandwidthMbps: number | undefined;
}

const MIN_VOICES = 3;
const MAX_VOICES = 16;
const DEFAULT_MAX_PEERS = 20_000;
/** How much of a voice is what was said last. */
const WEIGHT = 0.25;
const LIE_WEIGHT = 1;
const SCORES: Readonly<Record<Outcome, number>> = { ok: 1, failed: 0, lied: 0 };
/** Less tells more of delays than of bandwidth. */
const MIN_TELLING_BYTES = 256 * 1024;
/** As `megabitsSchema` has it. */
const MAX_MBPS = 10_000_000;

export class Reputations {
  readonly #maxPeers: number;
  readonly #voices = new Map<string, Voice[]>();

  constructor(maxPeers = DEFAULT_MAX_PEERS) {
    this.#maxPeers = maxPeers;
  }

  get size(): number {
    return this.#voices.size;
  }

  /** Takes note, and gives all the voices about that peer. */
  add(by: string, { about, outcome, bytes, ms }: Report): readonly Voice[] {
    const voices = this.#voices.get(about) ?? [];
    const before = voices.find((voice) => voice.by === by);
    const mbps = outcome === "ok" && bytes >= MIN_TELLING_BYTES
      ? Math.min(bytes * 8 / 1000 / Math.max(ms, 1), MAX_MBPS)
      : 0;
    const voice = {
      by,
      score: mixed(before?.score, SCORES[outcome], outcome === "lied" ? LIE_WEIGHT : WEIGHT),
      mbps: mbps === 0 ? before?.mbps ?? 0 : mixed(before?.mbps || undefined, mbps, WEIGHT),
    };
    const others = voices.filter((other) => other !== before).slice(-(MAX_VOICES - 1));
    this.set(about, [...others, voice]);
    return this.#voices.get(about)!;
  }

  /** What was kept elsewhere. */
  set(about: string, voices: readonly Voice[]): void {
    this.#voices.delete(about);
    this.#voices.set(about, voices.slice(-MAX_VOICES));
    if (this.#voices.size > this.#maxPeers) this.#voices.delete(this.#voices.keys().next().value!);
  }

  of(peerId: string): Standing | undefined {
    const voices = this.#voices.get(peerId);
    if (!voices || voices.length < MIN_VOICES) return undefined;
    const speeds = voices.map(({ mbps }) => mbps).filter((mbps) => mbps > 0).sort((a, b) => a - b);
    return {
      reliability: voices.reduce((sum, { score }) => sum + score, 0) / voices.length,
      bandwidthMbps: speeds.length < MIN_VOICES ? undefined : speeds[speeds.length >> 1]!,
    };
  }
}

function mixed(before: number | undefined, now: number, weight: number): number {
  return before === undefined ? now : before + weight * (now - before);
}
