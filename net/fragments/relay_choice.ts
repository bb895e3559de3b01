/**
 * Which relays a client uses: drawn at random, by how much each says it has to spare, so that clients spread without
 * speaking to each other, and no observer knows beforehand. What a relay says of itself decides little: the most loaded
 * keeps a twentieth of the chance of an idle one, so that no lie draws everybody.
 */

import type { RelayRecord } from "../../protocol/directory.ts";
import type { Random } from "../../protocol/random.ts";

const LEAST_WEIGHT = 0.05;

/** A relay as far as choosing goes. */
export type Choosable = Pick<RelayRecord, "relayId" | "load">;

export interface DrawOptions {
  readonly random: Random;
  /** Drawn only when the others do not suffice. */
  isAvoided?(relayId: string): boolean;
}

/** Draws that many, each once; fewer when there are not so many. */
export function drawRelays<R extends Choosable>(relays: readonly R[], count: number, options: DrawOptions): R[] {
  const { random, isAvoided = () => false } = options;
  const good = drawFrom(relays.filter(({ relayId }) => !isAvoided(relayId)), count, random);
  if (good.length === count) return good;
  const others = relays.filter(({ relayId }) => isAvoided(relayId));
  return [...good, ...drawFrom(others, count - good.length, random)];
}

/**
 * One of the centrals that are not avoided, of those the one where we have the fewest sessions; undefined when there are
 * none at all.
 */
export function drawCentral<R extends Choosable>(
  centrals: readonly R[],
  sessionsAt: (relayId: string) => number,
  options: DrawOptions,
): R | undefined {
  const { isAvoided = () => false } = options;
  const wanted = centrals.filter(({ relayId }) => !isAvoided(relayId));
  const candidates = wanted.length > 0 ? wanted : centrals;
  const fewest = Math.min(...candidates.map(({ relayId }) => sessionsAt(relayId)));
  return drawRelays(candidates.filter(({ relayId }) => sessionsAt(relayId) === fewest), 1, options)[0];
}

function drawFrom<R extends Choosable>(relays: readonly R[], count: number, random: Random): R[] {
  const left = [...relays];
  const drawn: R[] = [];
  while (drawn.length < count && left.length > 0) {
    drawn.push(...left.splice(drawIndex(left, random), 1));
  }
  return drawn;
}

function drawIndex(relays: readonly Choosable[], random: Random): number {
  let rest = random.next() * relays.reduce((sum, relay) => sum + weightOf(relay), 0);
  const index = relays.findIndex((relay) => (rest -= weightOf(relay)) < 0);
  return index < 0 ? relays.length - 1 : index; // only by rounding
}

function weightOf({ load }: Choosable): number {
  return Math.max(LEAST_WEIGHT, 1 - load);
}
