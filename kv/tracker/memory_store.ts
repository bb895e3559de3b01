/** A tracker's store that lasts as long as the process. */

import type { Heartbeat, Report } from "../../protocol/tracker/messages.ts";
import type { PeerEntry, PutResult } from "../../protocol/tracker/peer_table.ts";
import { inStore } from "../store_error.ts";
import { LocalPeers } from "./local_peers.ts";
import type { PeerChange, TokenVerdict, TrackerStore, TrackerStoreOptions } from "./store.ts";

export class MemoryTrackerStore implements TrackerStore {
  readonly #local: LocalPeers;

  constructor(options: TrackerStoreOptions) {
    this.#local = new LocalPeers(options);
  }

  get peers(): TrackerStore["peers"] {
    return this.#local.table;
  }

  get reputations(): TrackerStore["reputations"] {
    return this.#local.reputations;
  }

  register(entry: PeerEntry, said: Heartbeat): Promise<PutResult> {
    return inStore("list a peer", () => Promise.resolve(this.#local.put(entry, said)));
  }

  heartbeat(peerId: string, token: string, said: Heartbeat): TokenVerdict {
    const verdict = this.#local.check(peerId, token);
    if (verdict === "good") this.#local.touch(peerId, said);
    return verdict;
  }

  check(peerId: string, token: string): TokenVerdict {
    return this.#local.check(peerId, token);
  }

  unregister(peerId: string): Promise<boolean> {
    return Promise.resolve(this.#local.remove(peerId));
  }

  report(by: string, report: Report): Promise<void> {
    this.#local.reputations.add(by, report);
    return Promise.resolve();
  }

  subscribe(onChange: (change: PeerChange) => void): Disposable {
    return this.#local.subscribe(onChange);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#local[Symbol.dispose]();
    return Promise.resolve();
  }
}
