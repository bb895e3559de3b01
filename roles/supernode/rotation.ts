/**
 * Moves sessions away from an exit that has failed, left or wants to stop, make before break.
 *
 *   exit lost ─→ half a second's grace ─→ another exit is set up ─→ ROTATE_PEER to the client ─→ old session ended
 *
 * An exit is lost when its control stream or its data link is gone or its own probes say that nothing comes out there.
 * Where the session belongs to another supernode's client, that supernode is told and does the same. When there is no
 * other exit the session stays for when this one comes back, and is tried again, until it is given up. A client that does
 * not take the other session, or cannot be told, has it taken back.
 *
 * A supernode that starts again goes on with the rotations that were under way, under the same command ids, takes back
 * sessions that no client was told of, and gives its exits some time to come back.
 */

import type { Clock } from "../../protocol/clock.ts";
import { orAborted } from "../../protocol/abort.ts";
import { delay } from "../../protocol/clock.ts";
import type { RotatePeer, SessionOffer } from "../../protocol/control/commands.ts";
import type { ExitNotice } from "../../protocol/directory.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Random } from "../../protocol/random.ts";
import type { SessionRecord } from "../../protocol/session.ts";
import { Deadlines } from "../../net/deadlines.ts";
import { type CommandOutbox, newId } from "./command_outbox.ts";
import type { ExitSetup } from "./exit_setup.ts";
import type { Peering } from "./peering.ts";
import { offerOf, type RequestExit } from "./request_exit.ts";
import type { Sessions } from "./sessions.ts";

/** A reconnecting exit is back sooner. */
const GRACE_MS = 500;
/** After a restart of this supernode, when all exits have been lost at once. */
const RETURN_MS = 20_000;
const RETRY_MS = 2_000;
const MAX_TRIES = 5;
const TELL_WITHIN_MS = 60_000;
/** How long streams on a session whose exit still works may go on. */
const DRAIN_MS = 30_000;
const MAX_NOTICE = 1024;

export interface RotationOptions {
  readonly supernodeId: string;
  readonly sessions: Sessions;
  readonly requests: RequestExit;
  readonly setup: ExitSetup;
  readonly outbox: CommandOutbox;
  readonly peering: Peering;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Whether the exit can serve again. */
  isWell(exitPeerId: string): boolean;
}

export type RotationReason = ExitNotice["reason"];

export class Rotation implements Disposable {
  readonly #options: RotationOptions;
  readonly #grace: Deadlines<string>;
  readonly #returning: Deadlines<string>;
  readonly #stop = new AbortController();
  readonly #moving = new Map<string, Promise<void>>();
  readonly #count;

  constructor(options: RotationOptions) {
    this.#options = options;
    const leaveIfLost = (exitPeerId: string) => {
      if (!options.isWell(exitPeerId)) this.leave(exitPeerId, "exit_failed");
    };
    this.#grace = new Deadlines(options.clock, GRACE_MS, leaveIfLost);
    this.#returning = new Deadlines(options.clock, RETURN_MS, leaveIfLost);
    this.#count = options.metrics.counter("session_rotations_total", "Sessions moved to another exit", ["outcome"]);
  }

  /** The exit may be gone; it has a moment to come back. */
  suspect(exitPeerId: string): void {
    if (![...this.#grace].includes(exitPeerId)) this.#grace.add(exitPeerId);
  }

  /** Moves all sessions away from an exit that is connected here. */
  leave(exitPeerId: string, reason: RotationReason): void {
    const { sessions, peering, log } = this.#options;
    const away = new Map<string, string[]>();
    for (const record of sessions.ofExit(exitPeerId)) {
      if (sessions.isOwn(record)) this.move(record, reason);
      else away.set(record.clientSupernodeId, [...away.get(record.clientSupernodeId) ?? [], record.sessionId]);
    }
    for (const [supernodeId, sessionIds] of away) {
      const notice = { exitPeerId, reason, sessionIds: sessionIds.slice(0, MAX_NOTICE) };
      peering.notify(supernodeId, notice).catch((error) =>
        log.warn("A supernode was not told of an exit's end", { supernode_id: supernodeId, error: messageOf(error) })
      );
    }
  }

  /** Another supernode says that its exit is in trouble. */
  heard(notice: ExitNotice, supernodeId: string): void {
    const { sessions } = this.#options;
    for (const sessionId of notice.sessionIds) {
      const record = sessions.find(sessionId);
      const fits = record?.exit?.exit.peerId === notice.exitPeerId && record.exit.supernodeId === supernodeId;
      if (record && fits && sessions.isOwn(record)) this.move(record, notice.reason);
    }
  }

  /** Takes up the sessions that an earlier process has left. */
  async restore(): Promise<void> {
    const { sessions, supernodeId } = this.#options;
    const exits = new Set<string>();
    for (const record of [...sessions]) {
      const previous = sessions.find(record.previousSessionId ?? "");
      if (record.state === "rotating") this.#begin(record, () => this.#resume(record));
      else if (previous && previous.nextSessionId !== record.sessionId) await this.#drop(record.sessionId);
      else if (record.exit?.supernodeId === supernodeId) exits.add(record.exit.exit.peerId);
    }
    for (const exitPeerId of exits) this.#returning.add(exitPeerId);
  }

  /** Moves one session of a client of ours; once, however often it is asked. */
  move(record: SessionRecord, reason: RotatePeer["reason"] | "revoked"): void {
    if (record.state !== "active") return;
    this.#begin(record, () => this.#move(record, reason === "revoked" ? "exit_failed" : reason));
  }

  #begin({ sessionId }: SessionRecord, work: () => Promise<void>): void {
    if (this.#moving.has(sessionId)) return;
    const moving = work().catch((error) => {
      if (this.#stop.signal.aborted) return;
      this.#options.log.error("A session was not moved", { session_id: sessionId, error: messageOf(error) });
    }).finally(() => this.#moving.delete(sessionId));
    this.#moving.set(sessionId, moving);
  }

  /** Stops; what is under way is left where it is. */
  [Symbol.dispose](): void {
    this.#stop.abort();
    this.#grace[Symbol.dispose]();
    this.#returning[Symbol.dispose]();
  }

  async closed(): Promise<void> {
    await Promise.all(this.#moving.values());
  }

  async #move(record: SessionRecord, reason: RotatePeer["reason"]): Promise<void> {
    const { requests, clock, sessions, random, isWell } = this.#options;
    const { sessionId, clientPeerId, clientWireguardKey, clientProof } = record;
    const exitPeerId = record.exit!.exit.peerId;
    const client = { peerId: clientPeerId, wireguardKey: clientWireguardKey, ...clientProof! };
    const exclude = [...new Set([...record.wish.exclude ?? [], exitPeerId])].slice(-64);
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      if (tries > 0) await delay(clock, RETRY_MS, this.#stop.signal);
      if (sessions.find(sessionId)?.state !== "active") return;
      if (tries > 0 && reason === "exit_failed" && isWell(exitPeerId)) return;
      const grant = await orAborted(requests.grant(client, { ...record.wish, exclude }, record), this.#stop.signal);
      if (!grant.ok) continue;
      const next = grant.offer;
      const event = { kind: "rotate", nextSessionId: next.sessionId, rotateCommandId: newId(random) } as const;
      const rotating = await sessions.advance(sessionId, event).catch((error) => this.#giveBack(next.sessionId, error));
      if (!rotating) return await this.#drop(next.sessionId);
      return await this.#tell(rotating, next, reason);
    }
    this.#count.add(1, { outcome: "no_exit" });
    if (!isWell(exitPeerId)) await this.#end(record, "exit_failed");
  }

  /** Goes on with what an earlier process had begun. It has begun with the client once it has an id for the command. */
  async #resume(record: SessionRecord): Promise<void> {
    const next = this.#options.sessions.find(record.nextSessionId!);
    if (next?.state === "active" && record.rotateCommandId !== undefined) {
      return await this.#tell(record, offerOf(next), "exit_left");
    }
    const stays = await this.#options.sessions.advance(record.sessionId, { kind: "stay" });
    if (stays) this.#returning.add(stays.exit!.exit.peerId);
  }

  async #tell(record: SessionRecord, next: SessionOffer, reason: RotatePeer["reason"]): Promise<void> {
    const { outbox, log, sessions, isWell } = this.#options;
    const { sessionId, clientPeerId } = record;
    const order = {
      kind: "ROTATE_PEER" as const,
      commandId: record.rotateCommandId!,
      sessionId,
      payload: { reason, next, drainMs: reason === "exit_failed" ? 0 : DRAIN_MS },
      timeoutMs: TELL_WITHIN_MS,
    };
    const told = await orAborted(outbox.push(clientPeerId, order), this.#stop.signal);
    this.#count.add(1, { outcome: told.ok ? "ok" : "untold" });
    if (told.ok) return await this.#end(record, "rotated");
    log.warn("A client did not take another exit", {
      session_id: sessionId,
      peer_id: clientPeerId,
      reason: told.reason,
    });
    await this.#drop(next.sessionId);
    const isUsed = told.result?.code !== "unknown_session" && isWell(record.exit!.exit.peerId);
    if (isUsed) await sessions.advance(sessionId, { kind: "stay" });
    else await this.#end(record, "exit_failed");
  }

  async #giveBack(sessionId: string, error: unknown): Promise<never> {
    await this.#drop(sessionId);
    throw error;
  }

  /** Ends a session that its client has not been told of, or does not want. */
  async #drop(sessionId: string): Promise<void> {
    const record = this.#options.sessions.find(sessionId);
    if (record) await this.#end(record, "client_left");
  }

  async #end(record: SessionRecord, reason: "rotated" | "exit_failed" | "client_left"): Promise<void> {
    const { sessions, setup } = this.#options;
    if (!sessions.find(record.sessionId)) return;
    try {
      await sessions.advance(record.sessionId, { kind: "end", reason });
    } finally {
      setup.end(record, "replaced"); // whether or not it could be written down
    }
  }
}
