/**
 * When things are due for a peer (whitepaper §6.1, §6.3, §6.5). Five deadlines:
 *
 *   retransmit    an initiation went unanswered: 5 s and a little, for 90 s, then what waits is given up
 *   keepalive     data came and nothing went back: 10 s
 *   newHandshake  data went out and nothing at all came back: 15 s and a little
 *   zero          no new session: all keys are wiped 540 s after the last
 *   persistent    nothing went either way for the time the user set
 *
 * A deadline is a number in the peer, Infinity when it is off. What happens on every packet only compares and stores
 * such numbers; the queue is touched when one comes nearer than the peer's next look, see `wake_queue.ts`.
 */

import type { Random } from "../random.ts";
import {
  KEEPALIVE_TIMEOUT_MS,
  REJECT_AFTER_TIME_MS,
  REKEY_ATTEMPT_TIME_MS,
  REKEY_TIMEOUT_JITTER_MS,
  REKEY_TIMEOUT_MS,
} from "./constants.ts";
import type { Peer } from "./peer.ts";
import { WakeQueue } from "./wake_queue.ts";

const ZERO_AFTER_MS = 3 * REJECT_AFTER_TIME_MS;

/** What is done when a deadline passes. */
export interface TimerActions {
  sendKeepalive(peer: Peer): void;
  initiate(peer: Peer, kind: "first" | "retry"): void;
  giveUp(peer: Peer): void;
  forgetKeys(peer: Peer): void;
}

export class Timers {
  /** The time at which everything happens until it is moved on. */
  nowMs: number;
  readonly #random: Random;
  readonly #queue = new WakeQueue();

  constructor(nowMs: number, random: Random) {
    this.nowMs = nowMs;
    this.#random = random;
  }

  get nextDueMs(): number {
    return this.#queue.first?.wakeAtMs ?? Infinity;
  }

  /** Looks at up to `budget` peers that may have something due. */
  run(actions: TimerActions, budget: number): void {
    for (let left = budget; left > 0; left--) {
      const peer = this.#queue.first;
      if (!peer || peer.wakeAtMs > this.nowMs) return;
      this.#queue.remove(peer);
      this.#expire(peer, actions);
      this.#wake(peer, earliestDeadline(peer));
    }
  }

  initiationSent(peer: Peer): void {
    peer.jitterMs = this.#random.next() * REKEY_TIMEOUT_JITTER_MS;
    this.retryAfter(peer, this.nowMs);
  }

  /** Tries the handshake again once the time for an answer, counted from `sinceMs`, is over. */
  retryAfter(peer: Peer, sinceMs: number): void {
    peer.retransmitAtMs = sinceMs + REKEY_TIMEOUT_MS + peer.jitterMs;
    this.#wake(peer, peer.retransmitAtMs);
  }

  handshakeCompleted(peer: Peer): void {
    peer.retransmitAtMs = Infinity;
  }

  /** There are new keys, or there is no hope for any: has what keys there are wiped when that stays so. */
  zeroLater(peer: Peer): void {
    peer.zeroAtMs = this.nowMs + ZERO_AFTER_MS;
    this.#wake(peer, peer.zeroAtMs);
  }

  dataSent(peer: Peer): void {
    if (peer.newHandshakeAtMs !== Infinity) return;
    peer.newHandshakeAtMs = this.nowMs + KEEPALIVE_TIMEOUT_MS + REKEY_TIMEOUT_MS + peer.jitterMs;
    this.#wake(peer, peer.newHandshakeAtMs);
  }

  dataReceived(peer: Peer): void {
    if (peer.keepaliveAtMs !== Infinity) {
      peer.needsAnotherKeepalive = true;
      return;
    }
    peer.keepaliveAtMs = this.nowMs + KEEPALIVE_TIMEOUT_MS;
    this.#wake(peer, peer.keepaliveAtMs);
  }

  /** Anything authenticated went out: no keepalive is owed any more. */
  authenticatedSent(peer: Peer): void {
    peer.keepaliveAtMs = Infinity;
    this.#putOffPersistent(peer);
  }

  /** Anything authenticated came in: the peer lives. */
  authenticatedReceived(peer: Peer): void {
    peer.newHandshakeAtMs = Infinity;
    this.#putOffPersistent(peer);
  }

  /** Has a keepalive sent at the next look; how a persistent keepalive begins. */
  keepaliveNow(peer: Peer): void {
    peer.persistentAtMs = this.nowMs;
    this.#wake(peer, this.nowMs);
  }

  /** Nothing is due for this peer any more. */
  forget(peer: Peer): void {
    stopAll(peer);
    this.#queue.remove(peer);
  }

  #putOffPersistent(peer: Peer): void {
    if (peer.persistentKeepaliveMs === 0) return;
    peer.persistentAtMs = this.nowMs + peer.persistentKeepaliveMs;
    this.#wake(peer, peer.persistentAtMs);
  }

  #wake(peer: Peer, atMs: number): void {
    if (atMs < peer.wakeAtMs && !peer.isRemoved) this.#queue.wake(peer, atMs);
  }

  #expire(peer: Peer, actions: TimerActions): void {
    const nowMs = this.nowMs;
    if (peer.zeroAtMs <= nowMs) {
      peer.zeroAtMs = Infinity;
      actions.forgetKeys(peer);
    }
    if (peer.retransmitAtMs <= nowMs) {
      peer.retransmitAtMs = Infinity;
      this.#retransmit(peer, actions);
    }
    if (peer.keepaliveAtMs <= nowMs) {
      peer.keepaliveAtMs = Infinity;
      const again = peer.needsAnotherKeepalive;
      peer.needsAnotherKeepalive = false;
      actions.sendKeepalive(peer);
      if (again) this.dataReceived(peer);
    }
    if (peer.newHandshakeAtMs <= nowMs) {
      peer.newHandshakeAtMs = Infinity;
      actions.initiate(peer, "first");
    }
    if (peer.persistentAtMs <= nowMs) {
      peer.persistentAtMs = Infinity;
      actions.sendKeepalive(peer);
    }
  }

  #retransmit(peer: Peer, actions: TimerActions): void {
    if (this.nowMs - peer.wantedSinceMs < REKEY_ATTEMPT_TIME_MS) return actions.initiate(peer, "retry");
    peer.keepaliveAtMs = Infinity;
    if (peer.zeroAtMs === Infinity) this.zeroLater(peer);
    actions.giveUp(peer);
  }
}

function earliestDeadline(peer: Peer): number {
  return Math.min(
    peer.retransmitAtMs,
    peer.keepaliveAtMs,
    peer.newHandshakeAtMs,
    peer.zeroAtMs,
    peer.persistentAtMs,
  );
}

function stopAll(peer: Peer): void {
  peer.retransmitAtMs = Infinity;
  peer.keepaliveAtMs = Infinity;
  peer.newHandshakeAtMs = Infinity;
  peer.zeroAtMs = Infinity;
  peer.persistentAtMs = Infinity;
}
