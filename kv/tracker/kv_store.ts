/**
 * A tracker's store in Deno KV, which several processes may share: each has all peers in memory, writes down what it is told
 * (`change_writer.ts`), and hears what the others have written (`news_reader.ts`), at once or within a second (`watch.ts`).
 *
 *   start ─▶ note how far the others' news have come ─▶ read all records ─▶ follow the news
 *
 * A peer that registered elsewhere a moment ago is looked for in the store before it is told that nobody knows it. When the
 * store cannot be read, what is known is served on.
 */

import type { Clock } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { encodeBase64Url } from "../../protocol/encoding.ts";
import { type Log, silentLog } from "../../protocol/log.ts";
import type { Random } from "../../protocol/random.ts";
import type { Heartbeat, Report } from "../../protocol/tracker/messages.ts";
import type { PeerEntry, PutResult } from "../../protocol/tracker/peer_table.ts";
import {
  type StoredNews,
  type StoredPeer,
  storedPeerSchema,
  type StoredSeen,
  storedSeenSchema,
  storedVoicesSchema,
} from "../../protocol/tracker/stored.ts";
import { markOf } from "../../protocol/tracker/token.ts";
import { readMany } from "../records.ts";
import { inStore } from "../store_error.ts";
import { watchKey } from "../watch.ts";
import { ChangeWriter } from "./change_writer.ts";
import { TrackerKeys } from "./keys.ts";
import { LocalPeers } from "./local_peers.ts";
import { NewsReader } from "./news_reader.ts";
import type { PeerChange, TokenVerdict, TrackerStore, TrackerStoreOptions } from "./store.ts";

export interface KvTrackerStoreOptions extends TrackerStoreOptions {
  readonly space: string;
  readonly random: Random;
  readonly log?: Log;
}

/** A record is written again, at a heartbeat, about once in so long: much sooner than it would be forgotten. */
const REWRITE_MS = 3_600_000;
const WRITER_BYTES = 12;
const BATCH = 500;

export class KvTrackerStore implements TrackerStore {
  readonly #kv: Deno.Kv;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Log;
  readonly #primitives: KvTrackerStoreOptions["primitives"];
  readonly #ttlMs: number;
  readonly #keys: TrackerKeys;
  readonly #local: LocalPeers;
  readonly #writer: ChangeWriter;
  readonly #news: NewsReader;
  readonly #closing = new AbortController();
  /** Who has registered here and is being written down: the store may not know them yet. */
  readonly #coming = new Set<string>();
  #following: Promise<void> = Promise.resolve();

  private constructor(kv: Deno.Kv, options: KvTrackerStoreOptions) {
    const { clock, ttlMs, random, space, log = silentLog } = options;
    this.#kv = kv;
    this.#clock = clock;
    this.#random = random;
    this.#log = log;
    this.#primitives = options.primitives;
    this.#ttlMs = ttlMs;
    this.#keys = new TrackerKeys(space);
    this.#local = new LocalPeers(options);
    const writer = encodeBase64Url(random.fill(new Uint8Array(WRITER_BYTES)));
    this.#writer = new ChangeWriter({ store: { kv, clock }, keys: this.#keys, writer, ttlMs });
    this.#news = new NewsReader(kv, this.#keys, writer);
  }

  /** Reads who is there. */
  static async open(kv: Deno.Kv, options: KvTrackerStoreOptions): Promise<KvTrackerStore> {
    const store = new KvTrackerStore(kv, options);
    await store.#news.skip();
    await store.#load();
    store.#following = store.#follow();
    return store;
  }

  get peers(): TrackerStore["peers"] {
    return this.#local.table;
  }

  get reputations(): TrackerStore["reputations"] {
    return this.#local.reputations;
  }

  async register(entry: PeerEntry, said: Heartbeat): Promise<PutResult> {
    const result = this.#local.put(entry, said);
    this.#coming.add(entry.peerId);
    try {
      await this.#writer.write({ kind: "registered", entry, said });
    } finally {
      this.#coming.delete(entry.peerId);
    }
    return result;
  }

  async heartbeat(peerId: string, token: string, said: Heartbeat): Promise<TokenVerdict> {
    const verdict = await this.check(peerId, token);
    if (verdict !== "good") return verdict;
    this.#local.touch(peerId, said);
    await this.#writer.write({
      kind: "seen",
      peerId,
      said: this.#stateOf(peerId),
      entry: this.#dueEntry(peerId, token),
    });
    return verdict;
  }

  check(peerId: string, token: string): TokenVerdict | Promise<TokenVerdict> {
    const verdict = this.#local.check(peerId, token);
    return verdict === "good" ? verdict : this.#look([peerId]).then(() => this.#local.check(peerId, token));
  }

  async unregister(peerId: string): Promise<boolean> {
    const wasThere = this.#local.remove(peerId);
    await this.#writer.write({ kind: "left", peerId });
    return wasThere;
  }

  async report(by: string, report: Report): Promise<void> {
    const voices = this.#local.reputations.add(by, report);
    await this.#writer.write({ kind: "reported", by, report, voices });
  }

  subscribe(onChange: (change: PeerChange) => void): Disposable {
    return this.#local.subscribe(onChange);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#local[Symbol.dispose]();
    await Promise.all([this.#following, this.#writer.idle()]);
  }

  /** All that a peer has said, since each record replaces the one before. */
  #stateOf(peerId: string): Heartbeat {
    const { load, left } = this.#local.table.find(peerId) ?? {};
    return { ...load !== undefined && { load }, ...left !== undefined && { left } };
  }

  /** The peer's record, now and then, for it to be kept on. */
  #dueEntry(peerId: string, token: string): PeerEntry | undefined {
    if (this.#random.next() * REWRITE_MS > this.#ttlMs) return undefined;
    const peer = this.#local.table.find(peerId);
    if (!peer) return undefined;
    const { region, capabilities } = JSON.parse(peer.card);
    const mark = markOf(token, this.#primitives);
    return { peerId, card: peer.card, observedAddress: peer.observedAddress, mark, region, capabilities };
  }

  async #load(): Promise<void> {
    const seen = new Map<string, StoredSeen>();
    await this.#each(this.#keys.seen, (id, value) => {
      const { data } = storedSeenSchema.safeParse(value);
      if (data) seen.set(id, data);
    });
    await this.#each(this.#keys.peers, (id, value) => {
      const { data } = storedPeerSchema.safeParse(value);
      const last = seen.get(id);
      if (data && last) this.#take(data, last);
    });
    await this.#each(this.#keys.voices, (id, value) => {
      const { data } = storedVoicesSchema.safeParse(value);
      if (data) this.#local.reputations.set(id, data);
    });
  }

  #each(prefix: Deno.KvKey, take: (id: string, value: unknown) => void): Promise<void> {
    return inStore("read who is there", async () => {
      for await (const { key, value } of this.#kv.list({ prefix }, { batchSize: BATCH })) {
        take(String(key.at(-1)), value);
      }
    });
  }

  async #follow(): Promise<void> {
    const options = { read: () => this.#news.read(), clock: this.#clock, signal: this.#closing.signal };
    let isWhole = true;
    try {
      for await (const news of watchKey(this.#kv, this.#keys.revision, options)) {
        isWhole = await this.#catchUp(isWhole ? news : undefined);
      }
    } catch (error) {
      this.#log.error("Other trackers on the store are not heard any more", { error: messageOf(error) });
    }
  }

  /** Takes the news, or all there is where some were missed; false if that failed, and is to be done the next time. */
  async #catchUp(news: readonly StoredNews[] | undefined): Promise<boolean> {
    try {
      if (!news) await this.#load();
      for (const each of news ?? []) await this.#hear(each);
      return true;
    } catch (error) {
      this.#log.warn("What other trackers on the store have done could not be read", { error: messageOf(error) });
      return false;
    }
  }

  async #hear({ atMs, registered, seen, left, reports }: StoredNews): Promise<void> {
    const ageMs = Math.max(0, this.#clock.wallNow() - atMs);
    const strange = seen.filter(({ peerId, ...said }) => !this.#local.touch(peerId, said, ageMs));
    const there = await this.#look([...registered, ...strange.map(({ peerId }) => peerId), ...left]);
    // Who has registered again since, wherever that was, has not left.
    for (const peerId of left) if (!there.has(peerId) && !this.#coming.has(peerId)) this.#local.remove(peerId);
    for (const { by, ...report } of reports) this.#local.reputations.add(by, report);
  }

  /** Takes over what the store has of these peers, and gives those it has. */
  async #look(peerIds: readonly string[]): Promise<Set<string>> {
    const deed = "look for a peer";
    const under = (prefix: Deno.KvKey) => ({ keys: peerIds.map((id) => [...prefix, id]) });
    const [peers, seen] = await Promise.all([
      readMany(this.#kv, deed, { ...under(this.#keys.peers), schema: storedPeerSchema }),
      readMany(this.#kv, deed, { ...under(this.#keys.seen), schema: storedSeenSchema }),
    ]);
    const there = new Set<string>();
    for (const [at, peer] of peers.entries()) {
      const last = seen[at];
      if (!peer || !last) continue;
      there.add(peer.peerId);
      this.#take(peer, last);
    }
    return there;
  }

  #take({ region, ...peer }: StoredPeer, { seenAtMs, ...said }: StoredSeen): void {
    const ageMs = Math.max(0, this.#clock.wallNow() - seenAtMs);
    if (ageMs >= this.#ttlMs) return;
    try {
      this.#local.put({ ...peer, region }, said, ageMs);
    } catch (error) {
      if (!(error instanceof CulvertError) || error.code !== "store_full") throw error;
      this.#log.debug("There is no room for a peer of another process", { peer_id: peer.peerId });
    }
  }
}
