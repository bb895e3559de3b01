/**
 * What the state of a session's legs tells its owner: which legs to replace, and whether anybody is there at all. Pure.
 *
 *   send leg      suspect, and unanswered for 3 s while others are answered; or most of what went by it was lost
 *   receive leg   nothing for 5 s while dozens of fragments have come by the others; or most of what came was false
 *   session       something is unanswered, and nothing has come by any leg for 1.5 s, looked at twice
 *
 * Looks that come late are not believed: then it is we who were asleep, and what has come meanwhile is not read yet.
 */

import type { FragmentSessionStats } from "../../protocol/fragment/session_types.ts";

export const LOOK_EVERY_MS = 500;
const LATE_MS = 250;
const SUSPECT_MS = 3000;
const UNHEARD_MS = 5000;
const UNHEARD_FRAGMENTS = 48;
const SILENCE_MS = 1500;
/** Above any loss that a line has, and above what is chance. */
const MOST = 0.5;
const MIN_COUNTED_FRAGMENTS = 128;

export interface Verdict {
  /** Legs that should be replaced, of either direction. */
  readonly badLegs: readonly number[];
  readonly isDead: boolean;
}

const WELL: Verdict = { badLegs: [], isDead: false };

export class SessionWatch {
  #lookedAtMs: number;
  #silentLooks = 0;
  /** Of each receive leg: what had come by it, and by all, when it was last heard of. */
  readonly #heard = new Map<number, { readonly count: number; readonly all: number; readonly atMs: number }>();

  constructor(nowMs: number) {
    this.#lookedAtMs = nowMs;
  }

  look(stats: FragmentSessionStats, isIdle: boolean, nowMs: number): Verdict {
    const isLate = nowMs - this.#lookedAtMs > LOOK_EVERY_MS + LATE_MS;
    this.#lookedAtMs = nowMs;
    if (isLate) return WELL;
    const isSilent = !isIdle && isUnheard(stats, nowMs);
    this.#silentLooks = isSilent ? this.#silentLooks + 1 : 0;
    if (this.#silentLooks >= 2) return { badLegs: [], isDead: true };
    return isSilent ? WELL : { badLegs: [...badSenders(stats, nowMs), ...this.#unheard(stats, nowMs)], isDead: false };
  }

  #unheard({ receive }: FragmentSessionStats, nowMs: number): number[] {
    const all = receive.reduce((sum, leg) => sum + leg.receivedFragments, 0);
    const bad: number[] = [];
    for (const { leg, receivedFragments: count, refusedFragments: refused } of receive) {
      const last = this.#heard.get(leg);
      if (refused >= MIN_COUNTED_FRAGMENTS && refused > MOST * (refused + count)) bad.push(leg);
      else if (!last || last.count !== count) this.#heard.set(leg, { count, all, atMs: nowMs });
      else if (all - last.all >= UNHEARD_FRAGMENTS && nowMs - last.atMs >= UNHEARD_MS) bad.push(leg);
    }
    for (const leg of this.#heard.keys()) {
      if (!receive.some((each) => each.leg === leg)) this.#heard.delete(leg);
    }
    return bad;
  }
}

function isUnheard({ send, receive }: FragmentSessionStats, nowMs: number): boolean {
  const limitMs = Math.max(SILENCE_MS, ...send.map(({ rttMs = 0 }) => 4 * rttMs));
  return send.every(({ answeredAtMs }) => nowMs - answeredAtMs > limitMs) &&
    receive.every(({ heardAtMs }) => nowMs - heardAtMs > limitMs);
}

function badSenders({ send }: FragmentSessionStats, nowMs: number): number[] {
  if (!send.some(({ answeredAtMs }) => nowMs - answeredAtMs < SUSPECT_MS)) return [];
  return send.filter(({ state, answeredAtMs, lossShare, sentFragments }) =>
    state === "suspect" && nowMs - answeredAtMs > SUSPECT_MS ||
    lossShare > MOST && sentFragments >= MIN_COUNTED_FRAGMENTS
  ).map(({ leg }) => leg);
}
