/**
 * Places that may be one side of a relayed session: each has sent an initiation whose mac1 fits the other side. Anyone who
 * knows two public keys can send one, so a candidate is given nothing but the chance to complete the handshake.
 *
 * A place has one entry, its newest initiation (a device forgets the one before), and a host at most two places, so that one
 * stranger does not drive the others out. When full the oldest goes; all go after a while.
 */

import { commonBits, isV4Mapped } from "../ip.ts";
import { equalEndpoints } from "./endpoint.ts";
import type { Endpoint } from "./settings.ts";

export const MAX_CANDIDATES = 8;
const MAX_PLACES_OF_HOST = 2;
/** Several times the five seconds after which a device sends another initiation. */
const CANDIDATE_MS = 30_000;

/** One place that an initiation was sent on to, and the index under which that place has answered it. */
export interface Asked<At> {
  readonly at: At;
  answeredAs: number | undefined;
}

export interface Candidate<At> {
  readonly from: At;
  /** The index that it wants answers addressed to. */
  readonly index: number;
  readonly asked: readonly Asked<At>[];
  readonly cameMs: number;
}

export class Candidates<At extends Endpoint> {
  /** The oldest first. */
  #entries: Candidate<At>[] = [];

  remember(candidate: Candidate<At>): void {
    const others = this.#entries.filter(({ from, cameMs }) =>
      !equalEndpoints(from, candidate.from) && candidate.cameMs - cameMs < CANDIDATE_MS
    );
    const ofHost = others.filter(({ from }) => isSameHost(from, candidate.from));
    const crowded = ofHost.length === MAX_PLACES_OF_HOST
      ? ofHost[0]
      : others.length === MAX_CANDIDATES
      ? others[0]
      : undefined;
    this.#entries = [...others.filter((each) => each !== crowded), candidate];
  }

  /** Where the newest are, at most `count` of them. */
  newest(count: number, nowMs: number): At[] {
    return this.#entries.filter(({ cameMs }) => nowMs - cameMs < CANDIDATE_MS).slice(-count).reverse()
      .map(({ from }) => from);
  }

  /** The candidate that was sent on to `by` and is addressed by `index`, and what was asked there. */
  askedAt(by: At, index: number): readonly [Candidate<At>, Asked<At>] | undefined {
    for (const candidate of this.#entries) {
      if (candidate.index !== index) continue;
      const asked = candidate.asked.find(({ at }) => equalEndpoints(at, by));
      if (asked) return [candidate, asked];
    }
    return undefined;
  }

  /** The candidate there that `index` has answered, and who that was. */
  answeredAs(from: At, index: number): readonly [Candidate<At>, Asked<At>] | undefined {
    for (const candidate of this.#entries) {
      const asked = candidate.asked.find(({ answeredAs }) => answeredAs === index);
      if (asked && equalEndpoints(candidate.from, from)) return [candidate, asked];
    }
    return undefined;
  }

  /** Whether any candidate or any answer has this index. Makes nothing, for datagrams that come in floods. */
  names(index: number): boolean {
    for (const candidate of this.#entries) {
      if (candidate.index === index) return true;
      for (const asked of candidate.asked) if (asked.answeredAs === index) return true;
    }
    return false;
  }

  clear(): void {
    this.#entries = [];
  }
}

/** Whoever has one address of a /64 has all of them. */
function isSameHost({ address: one }: Endpoint, { address: other }: Endpoint): boolean {
  if (one.length !== other.length) return false;
  const bits = one.length === 16 && !isV4Mapped(one) ? 64 : one.length * 8;
  return commonBits(one, other) >= bits;
}
