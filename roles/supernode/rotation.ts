/**
 * Moves sessions away from an exit that has failed, left or wants to stop, make before break.
 *
 *   exit lost ─→ half a second's grace ─→ another exit is set up ─→ ROTATE_PEER to the client ─→ old session ended
 *
 * An exit is lost when its control stream or its data link is gone or its own probes say that nothing comes out there.
 * Where the session belongs to another supernode's client, that supernode is told and does the same. When there is no
 * other exit the session stays for when this one comes back, and is tried again, until it is given up.
 */

import type { Clock } from "../../protocol/clock.ts";
import { delay } from "../../protocol/clock.ts";
import type { RotatePeer } from "../../protocol/control/commands.ts";
import type { ExitNotice } from "../../protocol/directory.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { PeerKeys } from "../../protocol/fields.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Random } from "../../protocol/random.ts";
import type { SessionRecord } from "../../protocol/session.ts";
import { Deadlines } from "../../net/deadlines.ts";
import { type CommandOutbox, newId } from "./command_outbox.ts";
import type { ExitSetup } from "./exit_setup.ts";
import type { Peering } from "./peering.ts";
import type { RequestExit } from "./request_exit.ts";
import type { Sessions } from "./sessions.ts";

/** A reconnecting exit is back sooner. */
const GRACE_MS = 500;
const RETRY_MS = 2_000;
const MAX_TRIES = 5;
const TELL_WITHIN_MS = 60_000;
/** How long streams on a session whose exit still works may go on. */
const DRAIN_MS = 30_000;
const MAX_NOTICE = 1024;

export interface RotationOptions {
  readonly sessions: Sessions;
  readonly requests: RequestExit;
  readonly setup: ExitSetup;
  readonly outbox: CommandOutbox;
  readonly peering: Peering;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** What a connected peer shows of itself at present: its certificate may be newer than when the session began. */
  keysOf(peerId: string): PeerKeys | undefined;
  /** Whether the exit can serve again. */
  isWell(exitPeerId: string): boolean;
}

export type RotationReason = ExitNotice["reason"];

export class Rotation implements Disposable {
  readonly #options: RotationOptions;
  readonly #grace: Deadlines<string>;
  readonly #stop = new AbortController();
  readonly #moving = new Map<string, Promise<void>>();
  readonly #count;

  constructor(options: RotationOptions) {
    this.#options = options;
    this.#grace = new Deadlines(options.clock, GRACE_MS, (exitPeerId) => {
      if (!options.isWell(exitPeerId)) this.leave(exitPeerId, "exit_failed");
    });
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

  /** Moves one session of a client of ours; once, however often it is asked. */
  move(record: SessionRecord, reason: RotatePeer["reason"] | "revoked"): void {
    const { sessionId } = record;
    if (record.state !== "active" || this.#moving.has(sessionId)) return;
    const moving = this.#move(record, reason === "revoked" ? "exit_failed" : reason).catch((error) => {
      if (this.#stop.signal.aborted) return;
      this.#options.log.error("A session was not moved", { session_id: sessionId, error: messageOf(error) });
    }).finally(() => this.#moving.delete(sessionId));
    this.#moving.set(sessionId, moving);
  }

  /** Stops; what is under way is left where it is. */
  [Symbol.dispose](): void {
    this.#stop.abort();
    this.#grace[Symbol.dispose]();
  }

  async closed(): Promise<void> {
    await Promise.all(this.#moving.values());
  }

  async #move(record: SessionRecord, reason: RotatePeer["reason"]): Promise<void> {
    const { requests, clock, sessions, outbox, random, isWell, keysOf } = this.#options;
    const { sessionId, clientPeerId, clientWireguardKey, clientProof } = record;
    const exitPeerId = record.exit!.exit.peerId;
    const client = keysOf(clientPeerId) ??
      { peerId: clientPeerId, wireguardKey: clientWireguardKey, ...clientProof! };
    const exclude = [...new Set([...record.wish.exclude ?? [], exitPeerId])].slice(-64);
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      if (tries > 0) await delay(clock, RETRY_MS, this.#stop.signal);
      if (sessions.find(sessionId)?.state !== "active") return;
      if (tries > 0 && reason === "exit_failed" && isWell(exitPeerId)) return;
      const grant = await requests.grant(client, { ...record.wish, exclude }, record);
      if (!grant.ok) continue;
      const next = grant.offer;
      await sessions.advance(sessionId, { kind: "rotate", nextSessionId: next.sessionId });
      const told = await outbox.push(clientPeerId, {
        kind: "ROTATE_PEER",
        commandId: newId(random),
        sessionId,
        payload: { reason, next, drainMs: reason === "exit_failed" ? 0 : DRAIN_MS },
        timeoutMs: TELL_WITHIN_MS,
      });
      this.#count.add(1, { outcome: told.ok ? "ok" : "untold" });
      return await this.#end(record, "rotated");
    }
    this.#count.add(1, { outcome: "no_exit" });
    if (!isWell(exitPeerId)) await this.#end(record, "exit_failed");
  }

  async #end(record: SessionRecord, reason: "rotated" | "exit_failed"): Promise<void> {
    const { sessions, setup } = this.#options;
    const ended = await sessions.advance(record.sessionId, { kind: "end", reason });
    if (ended) setup.end(record, "replaced");
  }
}
