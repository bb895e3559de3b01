/**
 * The sessions that this supernode has a part in: those of its clients, whose records it owns, and those that clients
 * of other supernodes have at its exits.
 *
 * They are in memory, for streams to be joined by; no client and no other supernode is told that one is there before it is
 * kept in the store, and after a restart they are read back. What was being set up when the supernode stopped is ended:
 * nobody waits for it any more. An exit elsewhere is asked while that is written down: of what nobody here remembers its
 * supernode finds out (`session_checks.ts`).
 *
 * Not here: what may follow what (`protocol/session.ts`).
 */

import type { SessionStore } from "../../kv/sessions.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import { advanceSession, isServed, type SessionEvent, type SessionRecord } from "../../protocol/session.ts";

const DEFAULT_MAX_SESSIONS = 100_000;
/** What one other supernode may take up, so that none shuts out all others. */
const HOSTED_SHARE = 1 / 4;

export interface SessionsOptions {
  readonly supernodeId: string;
  readonly store: SessionStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Default 100,000. */
  readonly maxSessions?: number;
}

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #records = new Map<string, SessionRecord>();
  readonly #ofClient = new SetsByKey();
  readonly #ofExit = new SetsByKey();
  /** Those that clients of other supernodes have here, by supernode. */
  readonly #hostedFor = new SetsByKey();
  /** Of these, those that have a port here. */
  readonly #portsFor = new SetsByKey();
  readonly #via = new SetsByKey();
  readonly #active;
  /** Called when a session is over, however that came, or was never begun. */
  onGone: (record: SessionRecord) => void = () => {};

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#active = options.metrics.gauge("relay_sessions_active", "Sessions that this supernode has a part in");
  }

  get size(): number {
    return this.#records.size;
  }

  get isFull(): boolean {
    return this.#records.size >= (this.#options.maxSessions ?? DEFAULT_MAX_SESSIONS);
  }

  /** Whether that supernode's clients have as many sessions here as one may have, or there are too many altogether. */
  isFullFor(supernodeId: string): boolean {
    const maxHosted = (this.#options.maxSessions ?? DEFAULT_MAX_SESSIONS) * HOSTED_SHARE;
    return this.isFull || this.#hostedFor.get(supernodeId).size >= maxHosted;
  }

  [Symbol.iterator](): IterableIterator<SessionRecord> {
    return this.#records.values();
  }

  /** Reads back what was kept, and gives what was only half set up, to be ended. */
  async restore(): Promise<SessionRecord[]> {
    const halfDone: SessionRecord[] = [];
    for (const record of await this.#options.store.list()) {
      if (record.state === "ended") continue;
      this.#put(record);
      if (record.state === "requested" || record.state === "setting_up") halfDone.push(record);
    }
    return halfDone;
  }

  find(sessionId: string): SessionRecord | undefined {
    return this.#records.get(sessionId);
  }

  /** The session, if its exit is to serve it at present. */
  served(sessionId: string): SessionRecord | undefined {
    const record = this.#records.get(sessionId);
    return record && isServed(record, this.#options.clock.wallNow()) ? record : undefined;
  }

  ofClient(peerId: string): SessionRecord[] {
    return this.#select(this.#ofClient.get(peerId));
  }

  /** Without those that other supernodes say the client has here, of which nothing that is due to it may depend. */
  grantedTo(peerId: string): SessionRecord[] {
    return this.ofClient(peerId).filter((record) => this.isOwn(record));
  }

  ofExit(peerId: string): SessionRecord[] {
    return this.#select(this.#ofExit.get(peerId));
  }

  /** Exits connected to this supernode that serve a session, or did when they were last here. */
  exitsHere(): string[] {
    const isHere = (sessionId: string) => this.#records.get(sessionId)?.exit?.supernodeId === this.#options.supernodeId;
    return [...this.#ofExit].filter(([, sessionIds]) => sessionIds.values().some(isHere)).map(([peerId]) => peerId);
  }

  /** Those of clients here whose exit is behind that supernode. */
  via(supernodeId: string): SessionRecord[] {
    return this.#select(this.#via.get(supernodeId));
  }

  /** Those that clients of that supernode have at exits here. */
  hostedFor(supernodeId: string): SessionRecord[] {
    return this.#select(this.#hostedFor.get(supernodeId));
  }

  /** How many ports the clients of that supernode have here. */
  portsFor(supernodeId: string): number {
    return this.#portsFor.get(supernodeId).size;
  }

  countVia(supernodeId: string): number {
    return this.#via.get(supernodeId).size;
  }

  countOfExit(peerId: string): number {
    return this.#ofExit.get(peerId).size;
  }

  isOwn(record: SessionRecord): boolean {
    return record.clientSupernodeId === this.#options.supernodeId;
  }

  /** Takes a new session, which is kept once it has an exit. */
  add(record: SessionRecord): void {
    this.#put(record);
  }

  /** Takes back one whose setting up came to nothing before anybody was told of it. */
  forget(sessionId: string): void {
    const record = this.#records.get(sessionId);
    this.#remove(sessionId);
    if (record) this.onGone(record);
  }

  /** The session after the event, kept; undefined if it is gone or the event cannot happen. Rejects as the store does. */
  async advance(sessionId: string, event: SessionEvent): Promise<SessionRecord | undefined> {
    const changed = this.change(sessionId, event);
    await changed?.kept;
    return changed?.record;
  }

  /**
   * The same at once, for what may go on while it is written down: a command to an exit here, which is kept with it or
   * after it. `kept` rejects as the store does.
   */
  change(sessionId: string, event: SessionEvent): { record: SessionRecord; kept: Promise<void> } | undefined {
    const old = this.#records.get(sessionId);
    const record = old && advanceSession(old, event, this.#options.clock.wallNow());
    if (!record) return undefined;
    const { store, log } = this.#options;
    if (record.state === "ended") {
      this.#remove(sessionId);
      log.debug("A session has ended", { session_id: sessionId, reason: record.endReason });
      this.onGone(old);
    } else this.#put(record);
    return { record, kept: store.save(record) };
  }

  /** Those whose time has passed. */
  expired(): SessionRecord[] {
    const wallMs = this.#options.clock.wallNow();
    return this.#records.values().filter(({ expiresAtMs }) => expiresAtMs <= wallMs).toArray();
  }

  #put(record: SessionRecord): void {
    this.#remove(record.sessionId);
    this.#records.set(record.sessionId, record);
    this.#ofClient.add(record.clientPeerId, record.sessionId);
    if (record.exit) this.#ofExit.add(record.exit.exit.peerId, record.sessionId);
    if (!this.isOwn(record)) {
      this.#hostedFor.add(record.clientSupernodeId, record.sessionId);
      if (record.wish.carries === "packets") this.#portsFor.add(record.clientSupernodeId, record.sessionId);
    }
    const via = this.#viaOf(record);
    if (via !== undefined) this.#via.add(via, record.sessionId);
    this.#active.set(this.#records.size);
  }

  #remove(sessionId: string): void {
    const old = this.#records.get(sessionId);
    if (!old) return;
    this.#records.delete(sessionId);
    this.#ofClient.delete(old.clientPeerId, sessionId);
    if (old.exit) this.#ofExit.delete(old.exit.exit.peerId, sessionId);
    this.#hostedFor.delete(old.clientSupernodeId, sessionId);
    this.#portsFor.delete(old.clientSupernodeId, sessionId);
    const via = this.#viaOf(old);
    if (via !== undefined) this.#via.delete(via, sessionId);
    this.#active.set(this.#records.size);
  }

  #viaOf(record: SessionRecord): string | undefined {
    const via = record.exit?.supernodeId;
    return this.isOwn(record) && via !== this.#options.supernodeId ? via : undefined;
  }

  #select(ids: ReadonlySet<string>): SessionRecord[] {
    return [...ids].map((id) => this.#records.get(id)!);
  }
}

const NOTHING: ReadonlySet<string> = new Set();

class SetsByKey {
  readonly #sets = new Map<string, Set<string>>();

  [Symbol.iterator](): IterableIterator<[string, ReadonlySet<string>]> {
    return this.#sets.entries();
  }

  get(key: string): ReadonlySet<string> {
    return this.#sets.get(key) ?? NOTHING;
  }

  add(key: string, value: string): void {
    const set = this.#sets.get(key);
    if (set) set.add(value);
    else this.#sets.set(key, new Set([value]));
  }

  delete(key: string, value: string): void {
    const set = this.#sets.get(key);
    if (set?.delete(value) && set.size === 0) this.#sets.delete(key);
  }
}
