/**
 * Compares sessions with the other supernodes that have a part in them, so that one that has ended at one end, while the
 * other could not be told, does not stay for hours at the other.
 *
 *   every minute, for each such supernode ──→ "which of these do you not know?" ──→ those are over here as well
 *   a supernode does not answer for ten minutes ──→ what its clients have at exits here is over
 *
 * Sessions that have changed just now are left out: word of the change may be under way.
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

const CHECK_EVERY_MS = 60_000;
const SETTLED_MS = 30_000;
const ABANDONED_MS = 600_000;

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

export class SessionChecks {
  readonly #options: SessionChecksOptions;
  /** Since when supernodes have not answered. */
  readonly #silentSinceMs = new Map<string, number>();

  constructor(options: SessionChecksOptions) {
    this.#options = options;
  }

  /** Until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#options;
    while (!signal.aborted) {
      await delay(clock, CHECK_EVERY_MS * (0.75 + random.next() / 2), signal).catch(() => {});
      if (signal.aborted) return;
      await this.checkAll(signal).catch((error) => log.error("Cannot end a session", { error: messageOf(error) }));
    }
  }

  /** Once with every supernode that has a part in a session. Rejects only when the store fails. */
  async checkAll(signal: AbortSignal): Promise<void> {
    const shared = this.#shared();
    for (const supernodeId of this.#silentSinceMs.keys()) {
      if (!shared.has(supernodeId)) this.#silentSinceMs.delete(supernodeId);
    }
    for (const [supernodeId, records] of shared) await this.#checkWith(supernodeId, records, signal);
  }

  /** What this supernode does not know of the sessions that the asker believes in. */
  answer({ sessionIds }: SessionCheck, supernodeId: string): SessionCheckResponse {
    const { sessions } = this.#options;
    const unknown = sessionIds.filter((sessionId) => {
      const record = sessions.find(sessionId);
      return record?.clientSupernodeId !== supernodeId && record?.exit?.supernodeId !== supernodeId;
    });
    return { unknown };
  }

  async #checkWith(supernodeId: string, records: readonly SessionRecord[], signal: AbortSignal): Promise<void> {
    const { sessions } = this.#options;
    for (let from = 0; from < records.length && !signal.aborted; from += MAX_SESSIONS) {
      const asked = records.slice(from, from + MAX_SESSIONS);
      const unknown = await this.#ask(supernodeId, asked, signal);
      if (unknown) {
        await this.#lose(asked.filter(({ sessionId }) => unknown.has(sessionId)));
        continue;
      }
      // Who is silent now is not asked for the rest.
      if (this.#isAbandoned(supernodeId)) await this.#lose(records.filter((record) => !sessions.isOwn(record)));
      return;
    }
  }

  /** Undefined when it does not answer. */
  async #ask(
    supernodeId: string,
    records: readonly SessionRecord[],
    signal: AbortSignal,
  ): Promise<ReadonlySet<string> | undefined> {
    const { peering, clock, log } = this.#options;
    try {
      const sessionIds = records.map(({ sessionId }) => sessionId);
      const { unknown } = await peering.check(supernodeId, { sessionIds }, signal);
      this.#silentSinceMs.delete(supernodeId);
      return new Set(unknown);
    } catch (error) {
      if (signal.aborted) return undefined;
      log.info("A supernode does not say which sessions it has", {
        supernode_id: supernodeId,
        error: messageOf(error),
      });
      if (!this.#silentSinceMs.has(supernodeId)) this.#silentSinceMs.set(supernodeId, clock.now());
      return undefined;
    }
  }

  #isAbandoned(supernodeId: string): boolean {
    return this.#options.clock.now() - (this.#silentSinceMs.get(supernodeId) ?? Infinity) >= ABANDONED_MS;
  }

  async #lose(records: readonly SessionRecord[]): Promise<void> {
    const { sessions, onLost } = this.#options;
    for (const record of records) if (sessions.find(record.sessionId) === record) await onLost(record);
  }

  /** By the supernode that has the other part. */
  #shared(): Map<string, SessionRecord[]> {
    const { sessions, supernodeId, clock } = this.#options;
    const settledMs = clock.wallNow() - SETTLED_MS;
    const shared = new Map<string, SessionRecord[]>();
    for (const record of sessions) {
      const other = sessions.isOwn(record) ? record.exit?.supernodeId : record.clientSupernodeId;
      if (record.state !== "active" || record.updatedAtMs > settledMs) continue;
      if (other === undefined || other === supernodeId) continue;
      const records = shared.get(other);
      if (records) records.push(record);
      else shared.set(other, [record]);
    }
    return shared;
  }
}
