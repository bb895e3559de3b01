/**
 * Peers by when one of their timers may next be due: a binary heap in which every peer knows its place. A peer's time
 * in the heap is only ever moved nearer while it waits. A timer put off or stopped leaves it, and the peer is looked at
 * once in vain: that is what keeps timers off the packet path.
 */

import type { Peer } from "./peer.ts";

export class WakeQueue {
  readonly #peers: Peer[] = [];

  /** The peer to be looked at first. */
  get first(): Peer | undefined {
    return this.#peers[0];
  }

  /** Has the peer looked at `atMs` or earlier. */
  wake(peer: Peer, atMs: number): void {
    if (atMs >= peer.wakeAtMs) return;
    peer.wakeAtMs = atMs;
    if (peer.wakePlace < 0) {
      peer.wakePlace = this.#peers.length;
      this.#peers.push(peer);
    }
    this.#rise(peer);
  }

  /** Takes the peer out; harmless when it is not in. */
  remove(peer: Peer): void {
    const place = peer.wakePlace;
    if (place < 0) return;
    peer.wakePlace = -1;
    peer.wakeAtMs = Infinity;
    const last = this.#peers.pop()!;
    if (last === peer) return;
    this.#put(last, place);
    this.#rise(last);
    this.#sink(last);
  }

  #rise(peer: Peer): void {
    while (peer.wakePlace > 0) {
      const parent = this.#peers[(peer.wakePlace - 1) >> 1]!;
      if (parent.wakeAtMs <= peer.wakeAtMs) return;
      this.#swap(peer, parent);
    }
  }

  #sink(peer: Peer): void {
    for (;;) {
      const left = this.#peers[2 * peer.wakePlace + 1];
      const right = this.#peers[2 * peer.wakePlace + 2];
      const child = left && right && right.wakeAtMs < left.wakeAtMs ? right : left;
      if (!child || child.wakeAtMs >= peer.wakeAtMs) return;
      this.#swap(child, peer);
    }
  }

  #swap(one: Peer, other: Peer): void {
    const place = one.wakePlace;
    this.#put(one, other.wakePlace);
    this.#put(other, place);
  }

  #put(peer: Peer, place: number): void {
    peer.wakePlace = place;
    this.#peers[place] = peer;
  }
}
