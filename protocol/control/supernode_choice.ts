/**
 * Which of several supernodes a peer tries next: the one it is at, or the next in order, but none that has asked to be
 * left alone as long as there is another.
 */

import { CulvertError } from "../errors.ts";
import type { SupernodeAddress } from "./commands.ts";

export class SupernodeChoice {
  #supernodes: readonly SupernodeAddress[];
  #at = 0;
  /** Until when a supernode is to be left alone, by its id. */
  readonly #awayUntilMs = new Map<string, number>();

  /** In the order of preference, at least one. */
  constructor(supernodes: readonly SupernodeAddress[]) {
    this.#supernodes = checked(supernodes);
  }

  get present(): SupernodeAddress {
    return this.#supernodes[this.#at]!;
  }

  get count(): number {
    return this.#supernodes.length;
  }

  /** Others from now on; the first of them is the present one. */
  replace(supernodes: readonly SupernodeAddress[]): void {
    this.#supernodes = checked(supernodes);
    this.#awayUntilMs.clear();
    this.#at = 0;
  }

  /** The present one is not to be asked until then. */
  leaveAlone(untilMs: number): void {
    this.#awayUntilMs.set(this.present.supernodeId, untilMs);
  }

  /** Turns to the first behind the present one that may be asked now; false when there is none. */
  turnToOther(nowMs: number): boolean {
    const present = this.#at;
    const isFree = this.choose("next", nowMs) <= nowMs && this.#at !== present;
    if (!isFree) this.#at = present;
    return isFree;
  }

  /**
   * Chooses the first that may be asked now, from the present one or from the one behind it on, or else the one that
   * may be asked soonest. Gives the time from which on that is.
   */
  choose(from: "present" | "next", nowMs: number): number {
    const first = this.#at + (from === "next" ? 1 : 0);
    let soonestMs = Infinity;
    for (let step = 0; step < this.#supernodes.length; step++) {
      const at = (first + step) % this.#supernodes.length;
      const freeAtMs = Math.max(nowMs, this.#awayUntilMs.get(this.#supernodes[at]!.supernodeId) ?? 0);
      if (freeAtMs >= soonestMs) continue;
      soonestMs = freeAtMs;
      this.#at = at;
    }
    return soonestMs;
  }
}

function checked(supernodes: readonly SupernodeAddress[]): readonly SupernodeAddress[] {
  if (supernodes.length === 0) {
    throw new CulvertError("invalid_option", "Cannot choose a supernode: there must be one or more, got 0");
  }
  return [...supernodes];
}
