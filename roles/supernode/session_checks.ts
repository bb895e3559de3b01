/**
 * Compares sessions with the other supernodes that have a part in them, so that one that has ended at one end, while the
 * other could not be told, does not stay for hours at the other.
 *
 *   here ── "these are all that I have with you; which do you not know?" ──→ there: what is not among them is over
 *   here ←── "those" ── there: over here as well
 *
 * One question serves both ends, and two that have agreed ask again only when what they have has changed, looked at every
 * minute, when the data link between them has ended, or after ten minutes: a few questions an hour for each pair.
 *
 *   a supernode could not be told of an end ──→ it is asked until it answers
 *   a supernode does not answer for ten minutes ──→ what its clients have at exits here is over
 *
 * Sessions that have changed just now are not ended: word of the change may be under way.
 */

import { type Clock, delay } from "../../protocol/clock.ts";
import { MAX_SESSIONS } from "../../protocol/control/messages.ts";
import type { SessionCheck, SessionCheckResponse } from "../../protocol/directory.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Random } from "../../protocol/random.ts";
import type { SessionRecord } from "../../protocol/session.ts";
import type { Peering } from "./peering.ts";
import type { Sessions } from "./sessions.ts";

const LOOK_EVERY_MS = 60_000;
/** Two that have agreed compare again after so long though nothing has changed. */
const AGREED_MS = 600_000;
const SETTLED_MS = 30_000;
const ABANDONED_MS = 600_000;
/** Compared with at once, since some may be beyond a cut, and let each call wait for its deadline. */
const MAX_AT_ONCE = 8;

export interface SessionChecksOptions {
  readonly supernodeId: string;
  readonly sessions: Sessions;
  readonly peering: Pick<Peering, "check">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The other end of the session does not know it, or is not there any more. */
  onLost(record: SessionRecord): Promise<void>;
}

/** What was the same at both ends. */
interface Agreement {
  readonly sessionIds: ReadonlySet<string>;
  readonly atMs: number;
}

export class SessionChecks {
  readonly #options: SessionChecksOptions;
  readonly #agreed = new Map<string, Agreement>();
  /** Since when supernodes have not answered. */
  readonly #silentSinceMs = new Map<string, number>();

  constructor(options: SessionChecksOptions) {
    this.#options = options;
  }

  /** Until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    while (!signal.aborted) {
      await delay(clock, LOOK_EVERY_MS * (0.75 + random.next() / 2), signal).catch(() => {});
      if (signal.aborted) return;
      await this.checkAll(signal);
    }
  }

  /** With every supernode that has a part in a session, unless nothing has changed. Never rejects. */
  async checkAll(signal: AbortSignal): Promise<void> {
    const others = this.#others().values();
    const compareNext = async () => {
      for (const supernodeId of others) {
        if (signal.aborted) return;
        const records = this.#sharedWith(supernodeId);
        if (!this.#isAgreed(supernodeId, records)) await this.#compare(supernodeId, records, signal);
      }
    };
    await Promise.all(Array.from({ length: MAX_AT_ONCE }, compareNext));
  }

  /** It may have been started again, and not know what it was told. */
  doubt(supernodeId: string): void {
    const agreed = this.#agreed.get(supernodeId);
    if (agreed) this.#agreed.set(supernodeId, { ...agreed, atMs: -Infinity });
  }

  /** It has missed an end, and is asked until it answers, also when nothing else is left with it. */
  untold(supernodeId: string): void {
    this.#agreed.delete(supernodeId);
    if (!this.#silentSinceMs.has(supernodeId)) this.#silentSinceMs.set(supernodeId, this.#options.clock.now());
  }

  /** What this supernode does not know of the sessions that the asker believes in. Never rejects. */
  async answer({ sessionIds, isAll }: SessionCheck, supernodeId: string): Promise<SessionCheckResponse> {
    const { sessions } = this.#options;
    const unknown = sessionIds.filter((sessionId) => {
      const record = sessions.find(sessionId);
      return record?.clientSupernodeId !== supernodeId && record?.exit?.supernodeId !== supernodeId;
    });
    if (isAll) {
      const theirs = new Set(sessionIds);
      const records = this.#sharedWith(supernodeId);
      const missing = records.filter(({ sessionId }) => !theirs.has(sessionId));
      this.#silentSinceMs.delete(supernodeId);
      if (unknown.length === 0 && missing.length === 0) this.#agree(supernodeId, theirs);
      else this.doubt(supernodeId); // what is not settled yet is asked about again
      await this.#lose(missing.filter((record) => this.#isSettled(record)));
    }
    return { unknown };
  }

  async #compare(supernodeId: string, records: readonly SessionRecord[], signal: AbortSignal): Promise<void> {
    const { peering, log } = this.#options;
    const sessionIds = records.map(({ sessionId }) => sessionId);
    const isAll = sessionIds.length <= MAX_SESSIONS;
    const unknown = new Set<string>();
    try {
      let from = 0;
      do {
        const check = { sessionIds: sessionIds.slice(from, from + MAX_SESSIONS), isAll };
        for (const sessionId of (await peering.check(supernodeId, check, signal)).unknown) unknown.add(sessionId);
        from += MAX_SESSIONS;
      } while (from < sessionIds.length);
    } catch (error) {
      if (signal.aborted) return;
      log.info("A supernode does not say which sessions it has", {
        supernode_id: supernodeId,
        error: messageOf(error),
      });
      return await this.#unanswered(supernodeId, records);
    }
    this.#silentSinceMs.delete(supernodeId);
    const lost = records.filter(({ sessionId }) => unknown.has(sessionId));
    if (lost.length === 0) this.#agree(supernodeId, new Set(sessionIds));
    await this.#lose(lost.filter((record) => this.#isSettled(record)));
  }

  async #unanswered(supernodeId: string, records: readonly SessionRecord[]): Promise<void> {
    const { clock, sessions } = this.#options;
    this.#agreed.delete(supernodeId);
    const sinceMs = this.#silentSinceMs.get(supernodeId) ?? clock.now();
    this.#silentSinceMs.set(supernodeId, sinceMs);
    if (clock.now() - sinceMs < ABANDONED_MS) return;
    if (records.length === 0) this.#silentSinceMs.delete(supernodeId);
    await this.#lose(records.filter((record) => !sessions.isOwn(record) && this.#isSettled(record)));
  }

  /** Those that are still as they were. What cannot be ended now is found again. */
  async #lose(records: readonly SessionRecord[]): Promise<void> {
    const { sessions, onLost, log } = this.#options;
    for (const record of records) {
      if (sessions.find(record.sessionId) !== record) continue;
      await onLost(record).catch((error) =>
        log.error("Cannot end a session", { session_id: record.sessionId, error: messageOf(error) })
      );
    }
  }

  #agree(supernodeId: string, sessionIds: ReadonlySet<string>): void {
    if (sessionIds.size === 0) this.#agreed.delete(supernodeId);
    else this.#agreed.set(supernodeId, { sessionIds, atMs: this.#options.clock.now() });
  }

  #isAgreed(supernodeId: string, records: readonly SessionRecord[]): boolean {
    const agreed = this.#agreed.get(supernodeId);
    if (!agreed || this.#options.clock.now() - agreed.atMs >= AGREED_MS) return false;
    return records.length === agreed.sessionIds.size &&
      records.every(({ sessionId }) => agreed.sessionIds.has(sessionId));
  }

  #isSettled({ state, updatedAtMs }: SessionRecord): boolean {
    return state === "active" && updatedAtMs <= this.#options.clock.wallNow() - SETTLED_MS;
  }

  /** Supernodes that have the other part of sessions, and those that do not know yet that they have none any more. */
  #others(): Set<string> {
    const { sessions, supernodeId } = this.#options;
    const others = new Set([...this.#agreed.keys(), ...this.#silentSinceMs.keys()]);
    for (const record of sessions) {
      if (!isShared(record)) continue;
      const other = sessions.isOwn(record) ? record.exit!.supernodeId : record.clientSupernodeId;
      if (other !== supernodeId) others.add(other);
    }
    return others;
  }

  /** Sessions of which that supernode has the other part. */
  #sharedWith(supernodeId: string): SessionRecord[] {
    const { sessions } = this.#options;
    return [...sessions.via(supernodeId), ...sessions.hostedFor(supernodeId)].filter(isShared);
  }
}

/** One that is requested is between two exits. */
function isShared({ state, exit }: SessionRecord): boolean {
  return exit !== undefined && state !== "requested";
}
