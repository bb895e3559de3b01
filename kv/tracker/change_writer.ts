/**
 * Writes changes down, many in one commit, each commit with the news of it for other processes.
 *
 *   write(change) … write(change)  ──one turn of the event loop, or the commit before──▶  records, news, writer, revision
 *
 * As in `group_commit.ts`: alone a change is written at once, and who comes when too many wait is refused with `store_busy`.
 */

import { setImmediate } from "node:timers";
import { CulvertError } from "../../protocol/errors.ts";
import type { Heartbeat, Report } from "../../protocol/tracker/messages.ts";
import type { PeerEntry } from "../../protocol/tracker/peer_table.ts";
import type { Voice } from "../../protocol/tracker/reputations.ts";
import type { StoredNews, StoredPeer } from "../../protocol/tracker/stored.ts";
import { commitAll, type Mutation, type Writable } from "../commit.ts";
import { NEWS_KEPT_MS, PEER_KEPT_MS, type TrackerKeys, VOICES_KEPT_MS } from "./keys.ts";

export type Change =
  | { readonly kind: "registered"; readonly entry: PeerEntry; readonly said: Heartbeat }
  /** With its record, when that is to be written again. */
  | { readonly kind: "seen"; readonly peerId: string; readonly said: Heartbeat; readonly entry?: PeerEntry | undefined }
  | { readonly kind: "left"; readonly peerId: string }
  | { readonly kind: "reported"; readonly by: string; readonly report: Report; readonly voices: readonly Voice[] };

export interface ChangeWriterOptions {
  readonly store: Writable;
  readonly keys: TrackerKeys;
  readonly writer: string;
  readonly ttlMs: number;
}

interface Waiting {
  readonly change: Change;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Two records each and three more are below what a commit takes. */
const MAX_TOGETHER = 450;
const MAX_WAITING = 100_000;
const DEED = "keep what peers have announced";

export class ChangeWriter {
  readonly #options: ChangeWriterOptions;
  #waiting: Waiting[] = [];
  #isRunning = false;
  #run: Promise<void> = Promise.resolve();
  #sequence = 0;

  constructor(options: ChangeWriterOptions) {
    this.#options = options;
  }

  /** Resolves once it is kept. */
  write(change: Change): Promise<void> {
    if (this.#waiting.length >= MAX_WAITING) {
      const message = `Cannot ${DEED}: at most ${MAX_WAITING} changes must wait, got one more`;
      return Promise.reject(new CulvertError("store_busy", message));
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ change, resolve, reject });
    if (!this.#isRunning) this.#run = this.#writeAll();
    return promise;
  }

  /** Settles when nothing is being written. */
  async idle(): Promise<void> {
    await this.#run;
  }

  async #writeAll(): Promise<void> {
    this.#isRunning = true;
    await new Promise<void>((resolve) => void setImmediate(() => resolve()));
    while (this.#waiting.length > 0) {
      const together = this.#waiting.splice(0, MAX_TOGETHER);
      try {
        await commitAll(this.#options.store, DEED, this.#mutationsOf(together.map(({ change }) => change)));
        for (const { resolve } of together) resolve();
      } catch (error) {
        for (const { reject } of together) reject(error);
      }
    }
    this.#isRunning = false;
  }

  #mutationsOf(changes: readonly Change[]): Mutation[] {
    const { keys, writer, store } = this.#options;
    const atMs = store.clock.wallNow();
    const sequence = ++this.#sequence;
    return [
      ...changes.flatMap((change) => this.#recordsOf(change, atMs)),
      { key: keys.newsOf(writer, sequence), value: newsOf(changes, { sequence, atMs }), expireInMs: NEWS_KEPT_MS },
      { key: [...keys.writers, writer], value: { sequence }, expireInMs: NEWS_KEPT_MS },
      { key: keys.revision, value: true },
    ];
  }

  #recordsOf(change: Change, atMs: number): Mutation[] {
    const { keys, ttlMs } = this.#options;
    switch (change.kind) {
      case "registered":
      case "seen": {
        const { entry, said } = change;
        const peerId = change.kind === "seen" ? change.peerId : change.entry.peerId;
        const seen = { key: [...keys.seen, peerId], value: { ...said, seenAtMs: atMs }, expireInMs: ttlMs };
        return entry
          ? [{ key: [...keys.peers, peerId], value: storedOf(entry), expireInMs: PEER_KEPT_MS }, seen]
          : [seen];
      }
      case "left":
        return [{ key: [...keys.peers, change.peerId] }, { key: [...keys.seen, change.peerId] }];
      case "reported":
        return [{ key: [...keys.voices, change.report.about], value: change.voices, expireInMs: VOICES_KEPT_MS }];
    }
  }
}

function newsOf(changes: readonly Change[], when: Pick<StoredNews, "sequence" | "atMs">): StoredNews {
  const news: StoredNews = { ...when, registered: [], seen: [], left: [], reports: [] };
  for (const change of changes) {
    if (change.kind === "registered") news.registered.push(change.entry.peerId);
    else if (change.kind === "seen") news.seen.push({ peerId: change.peerId, ...change.said });
    else if (change.kind === "left") news.left.push(change.peerId);
    else news.reports.push({ ...change.report, by: change.by });
  }
  return news;
}

function storedOf({ mark, region, capabilities, ...entry }: PeerEntry): StoredPeer {
  return { ...entry, ...region !== undefined && { region }, capabilities: [...capabilities], mark: mark.slice() };
}
