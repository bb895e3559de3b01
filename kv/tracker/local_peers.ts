/**
 * The peers that a process knows, with those who want to hear of changes, and a clock: who falls silent is forgotten also
 * while nobody asks.
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import type { Heartbeat } from "../../protocol/tracker/messages.ts";
import { type PeerEntry, PeerTable, type PutResult } from "../../protocol/tracker/peer_table.ts";
import { Reputations } from "../../protocol/tracker/reputations.ts";
import { markOf } from "../../protocol/tracker/token.ts";
import type { PeerChange, TokenVerdict, TrackerStoreOptions } from "./store.ts";

const DEFAULT_MAX_PEERS = 200_000;

export class LocalPeers implements Disposable {
  readonly table: PeerTable;
  readonly reputations = new Reputations();
  readonly #clock: Clock;
  readonly #primitives: TrackerStoreOptions["primitives"];
  readonly #listeners = new Set<(change: PeerChange) => void>();
  #timer: Timer | undefined;
  #isClosed = false;

  constructor({ clock, primitives, ttlMs, maxPeers = DEFAULT_MAX_PEERS }: TrackerStoreOptions) {
    this.#clock = clock;
    this.#primitives = primitives;
    this.table = new PeerTable({ ttlMs, maxPeers, nowMs: clock.now() });
  }

  /** `ageMs`: how long ago it was heard of. Throws `store_full`. */
  put(entry: PeerEntry, said: Heartbeat, ageMs = 0): PutResult {
    const seenMs = this.#clock.now() - ageMs;
    const result = this.table.put(entry, seenMs);
    this.table.touch(entry.peerId, seenMs, said);
    if (result !== "same") this.#tell({ type: result, entry });
    this.#wind();
    return result;
  }

  /** False if the peer is not there. */
  touch(peerId: string, said: Heartbeat, ageMs = 0): boolean {
    return this.table.touch(peerId, this.#clock.now() - ageMs, said);
  }

  check(peerId: string, token: string): TokenVerdict {
    const hasShown = this.table.hasShown(peerId, token);
    if (hasShown === undefined) return "unknown";
    if (hasShown) return "good";
    if (!this.table.hasMark(peerId, markOf(token, this.#primitives))) return "wrong";
    this.table.remember(peerId, token);
    return "good";
  }

  remove(peerId: string): boolean {
    const peer = this.table.delete(peerId);
    if (peer) this.#tell({ type: "left", peer });
    return peer !== undefined;
  }

  subscribe(onChange: (change: PeerChange) => void): Disposable {
    this.#listeners.add(onChange);
    return { [Symbol.dispose]: () => void this.#listeners.delete(onChange) };
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#listeners.clear();
  }

  #tell(change: PeerChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  #wind(): void {
    if (this.#timer || this.#isClosed || this.table.size === 0) return;
    this.#timer = this.#clock.after(this.table.tickMs, () => {
      this.#timer = undefined;
      for (const peer of this.table.expire(this.#clock.now())) this.#tell({ type: "left", peer });
      this.#wind();
    });
  }
}
