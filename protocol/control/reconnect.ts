/**
 * Which supernode a peer connects to next, and when. Design §5.
 *
 *   lost, or silent, after it was open   a quick round: each of the list once, random · 250 ms before each try,
 *                                        beginning with the same after a loss, with the next after a silence
 *   anything else, and after the round   backoff with full jitter: random · min(30 s, 500 ms · 2^failures)
 *   told to come back later              another at once that has not said the same, or this one when the time is up
 *   told to move                         there, at some time within what was given
 *
 * A peer that has lost its supernode is with another within half a second, and the thousands that lost the same one are
 * spread over that time and, should it not let them in, over ever longer ones. There is one round in half a minute, so
 * that a peer that is let in and thrown out again, or sent to and fro, does not hurry.
 *
 * Not here: why a stream ended (`client_end.ts`), the order within the list (`supernode_choice.ts`).
 */

import { Backoff, type BackoffOptions } from "../backoff.ts";
import type { Random } from "../random.ts";
import { type ClientEnd, stayAwayMs } from "./client_end.ts";
import type { SupernodeAddress } from "./commands.ts";
import { SupernodeChoice } from "./supernode_choice.ts";

/** A stream that was open for so long starts the next backoff from the beginning; and rounds are so far apart. */
const GOOD_AFTER_MS = 30_000;
/** Before each try of a round. */
const QUICK_WAIT_MS = 250;
/** A supernode that can be reached answers by then; in a round another is tried rather than waited for. */
const QUICK_CONNECT_MS = 3_000;
/** Lists are the configuration's and RELAY_UPDATE's, and may be long. */
const MAX_QUICK_TRIES = 4;

export interface ReconnectOptions {
  /** In the order of preference, at least one. */
  readonly supernodes: readonly SupernodeAddress[];
  readonly random: Random;
  readonly backoff?: BackoffOptions | undefined;
}

/** How a stream ended, or did not come about. */
export interface Ended {
  readonly reason: ClientEnd;
  readonly wasOpen: boolean;
  /** What the supernode asked for. */
  readonly retryAfterMs: number;
  /** It may be mended already by asking the same one again. */
  readonly isWorthAnother: boolean;
}

export class Reconnect {
  readonly #random: Random;
  readonly #backoff: Backoff;
  readonly #choice: SupernodeChoice;
  #openedAtMs = 0;
  #roundAtMs = -Infinity;
  /** Tries left of the round, the one under way among them. */
  #quickTries = 0;
  /** Where to go and when, once told to. */
  #move: { readonly supernodes: readonly SupernodeAddress[]; readonly atMs: number } | undefined;
  /** When it last moved: two supernodes that send it to and fro must not make it hurry. */
  #movedAtMs = -Infinity;

  constructor({ supernodes, random, backoff }: ReconnectOptions) {
    this.#random = random;
    this.#backoff = new Backoff(random, backoff);
    this.#choice = new SupernodeChoice(supernodes);
  }

  /** The one it is connected to, or tries next. */
  get supernode(): SupernodeAddress {
    return this.#choice.present;
  }

  /** How long to wait for a connection at most; of a lone supernode as long as it takes. */
  get connectWithinMs(): number {
    return this.#isInRound && this.#choice.count > 1 ? QUICK_CONNECT_MS : Infinity;
  }

  /** When it is to move. */
  get moveAtMs(): number {
    return this.#move?.atMs ?? Infinity;
  }

  opened(nowMs: number): void {
    this.#openedAtMs = nowMs;
    this.#quickTries = 0;
  }

  /** Others from now on; the first of them is next. */
  replace(supernodes: readonly SupernodeAddress[]): void {
    this.#move = undefined;
    this.#choice.replace(supernodes);
  }

  planMove(supernodes: readonly SupernodeAddress[], atMs: number): void {
    this.#move = { supernodes, atMs };
  }

  /** Turns to where it is to move, if it is time, and gives how long to wait before going there. */
  move(nowMs: number): number | undefined {
    if (!this.#move || nowMs < this.#move.atMs) return undefined;
    this.replace(this.#move.supernodes);
    return this.#waitToMove(nowMs);
  }

  /** The same for the next of the list. Undefined when there is no other that may be asked now, or it moves anyway. */
  moveOn(nowMs: number): number | undefined {
    return this.#move || !this.#choice.turnToOther(nowMs) ? undefined : this.#waitToMove(nowMs);
  }

  /** Turns to the supernode that is to be tried next, and gives how long to wait before that. */
  after({ reason, wasOpen, retryAfterMs, isWorthAnother }: Ended, nowMs: number): number {
    if (wasOpen && nowMs - this.#openedAtMs >= GOOD_AFTER_MS) this.#backoff.reset();
    const isLost = wasOpen && (reason === "lost" || reason === "silent");
    if (isLost && nowMs - this.#roundAtMs >= GOOD_AFTER_MS) {
      this.#roundAtMs = nowMs;
      this.#quickTries = Math.min(this.#choice.count, MAX_QUICK_TRIES);
    } else if (this.#isInRound) {
      this.#quickTries--;
    }
    const freeAtMs = this.#chooseAfter(reason, { retryAfterMs, isWorthAnother, nowMs });
    const waitMs = this.#isInRound ? this.#random.next() * QUICK_WAIT_MS : this.#backoff.nextMs();
    return Math.max(waitMs, freeAtMs - nowMs);
  }

  get #isInRound(): boolean {
    return this.#quickTries > 0;
  }

  #waitToMove(nowMs: number): number {
    const waitMs = nowMs - this.#movedAtMs < GOOD_AFTER_MS ? this.#backoff.nextMs() : 0;
    this.#movedAtMs = nowMs;
    return waitMs;
  }

  /** Gives the time from which on the chosen one may be asked. */
  #chooseAfter(
    reason: ClientEnd,
    { retryAfterMs, isWorthAnother, nowMs }: Pick<Ended, "retryAfterMs" | "isWorthAnother"> & {
      readonly nowMs: number;
    },
  ): number {
    if (this.#move) {
      // It was about to go there anyway.
      this.replace(this.#move.supernodes);
      return nowMs;
    }
    const awayMs = stayAwayMs(reason, retryAfterMs);
    // All who were sent away would otherwise come back in the same instant.
    const jitter = 1 + this.#random.next() / 2;
    if (awayMs > 0) this.#choice.leaveAlone(nowMs + awayMs * jitter);
    return this.#choice.choose(isWorthAnother ? "present" : "next", nowMs);
  }
}
