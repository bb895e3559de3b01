/**
 * Moves sessions away from an exit that has failed, left or wants to stop, make before break.
 *
 *   exit lost ─→ half a second's grace ─→ another exit is set up ─→ ROTATE_PEER to the client
 *                                                                        │ it has gone there    │ it will not
 *                                                                        ↓                      ↓
 *                                            drained, then the old session ended      the new one ended, the old stays
 *
 * An exit is lost when its control stream or its data link is gone or its own probes say that nothing comes out there.
 * Where the session belongs to another supernode's client, that supernode is told and does the same. When there is no
 * other exit the session stays for when this one comes back, and is tried again, until it is given up; one whose exit
 * still works, and only wants to stop, is not given up before the exit has gone.
 *
 * What a restart has interrupted is told once more: the command's id is the new session's, so it is applied once.
 */

import type { Clock } from "../../protocol/clock.ts";
import { delay } from "../../protocol/clock.ts";
import type { Disconnect, RotatePeer, SessionOffer } from "../../protocol/control/commands.ts";
import type { ExitNotice } from "../../protocol/directory.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { PeerKeys } from "../../protocol/fields.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { SessionEnd, SessionRecord } from "../../protocol/session.ts";
import { Deadlines } from "../../net/deadlines.ts";
import type { CommandOutbox, CommandOutcome } from "./command_outbox.ts";
import type { ExitSetup } from "./exit_setup.ts";
import type { Peering } from "./peering.ts";
import { offerOf, type RequestExit } from "./request_exit.ts";
import type { Sessions } from "./sessions.ts";

/** A reconnecting exit is back sooner. */
const GRACE_MS = 500;
const RETRY_MS = 2_000;
const MAX_TRIES = 5;
const TELL_WITHIN_MS = 60_000;
/** How long streams on a session whose exit still works may go on. */
const DRAIN_MS = 30_000;
const MAX_NOTICE = 1024;
const NOT_USED = { kind: "client_left", told: "client_left" } as const;

export interface RotationOptions {
  readonly sessions: Sessions;
  readonly requests: Pick<RequestExit, "grant">;
  readonly setup: ExitSetup;
  readonly outbox: CommandOutbox;
  readonly peering: Pick<Peering, "notify">;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** What a connected peer shows of itself at present: its certificate may be newer than when the session began. */
  keysOf(peerId: string): PeerKeys | undefined;
  /** Why sessions should leave an exit now, if they should; one that is not here has failed them. */
  troubleOf(exitPeerId: string): "exit_failed" | "exit_drains" | undefined;
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
      const trouble = options.troubleOf(exitPeerId);
      if (trouble) this.leave(exitPeerId, trouble);
    });
    this.#count = options.metrics.counter("session_rotations_total", "Sessions moved to another exit", ["outcome"]);
  }

  /** The exit may be gone; it has a moment to come back. */
  suspect(exitPeerId: string): void {
    if (!this.#grace.has(exitPeerId)) this.#grace.add(exitPeerId);
  }

  /** Moves all sessions away from an exit that is connected here. */
  leave(exitPeerId: string, reason: RotationReason): void {
    const { sessions, peering, log } = this.#options;
    const away: SessionRecord[] = [];
    for (const record of sessions.ofExit(exitPeerId)) {
      if (sessions.isOwn(record)) this.move(record, reason);
      else away.push(record);
    }
    for (const [supernodeId, records] of Map.groupBy(away, (record) => record.clientSupernodeId)) {
      const sessionIds = records.map(({ sessionId }) => sessionId);
      for (let at = 0; at < sessionIds.length; at += MAX_NOTICE) {
        const notice = { exitPeerId, reason, sessionIds: sessionIds.slice(at, at + MAX_NOTICE) };
        peering.notify(supernodeId, notice).catch((error) =>
          log.warn("A supernode was not told of an exit's end", { supernode_id: supernodeId, error: messageOf(error) })
        );
      }
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
    if (record.state !== "active") return;
    this.#track(record, () => this.#move(record, reason === "revoked" ? "exit_failed" : reason));
  }

  /** Goes on with a rotation that a restart has interrupted. */
  resume(record: SessionRecord): void {
    this.#track(record, () => this.#resume(record));
  }

  /** Stops; what is under way is left where it is. */
  [Symbol.dispose](): void {
    this.#stop.abort();
    this.#grace[Symbol.dispose]();
  }

  async closed(): Promise<void> {
    await Promise.all(this.#moving.values());
  }

  #track({ sessionId }: SessionRecord, work: () => Promise<void>): void {
    if (this.#moving.has(sessionId)) return;
    const moving = work().catch((error) => {
      if (this.#stop.signal.aborted) return;
      this.#options.log.error("A session was not moved", { session_id: sessionId, error: messageOf(error) });
    }).finally(() => this.#moving.delete(sessionId));
    this.#moving.set(sessionId, moving);
  }

  async #move(record: SessionRecord, reason: RotatePeer["reason"]): Promise<void> {
    const { requests, clock, sessions, troubleOf, keysOf } = this.#options;
    const { sessionId, clientPeerId, clientWireguardKey, clientProof } = record;
    const exitPeerId = record.exit!.exit.peerId;
    const client = keysOf(clientPeerId) ??
      { peerId: clientPeerId, wireguardKey: clientWireguardKey, ...clientProof! };
    const exclude = [...new Set([...record.wish.exclude ?? [], exitPeerId])].slice(-64);
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      if (tries > 0) await delay(clock, RETRY_MS, this.#stop.signal);
      if (sessions.find(sessionId)?.state !== "active") return;
      if (tries > 0 && reason === "exit_failed" && !troubleOf(exitPeerId)) return;
      const grant = await requests.grant(client, { ...record.wish, exclude }, record);
      if (!grant.ok) continue;
      const isMoving = await sessions.advance(sessionId, { kind: "rotate", nextSessionId: grant.offer.sessionId });
      return isMoving
        ? await this.#tell(record, grant.offer, reason)
        : await this.#end(grant.offer.sessionId, NOT_USED);
    }
    this.#count.add(1, { outcome: "no_exit" });
    if (reason !== "exit_drains") await this.#giveUp(record);
  }

  async #resume(record: SessionRecord): Promise<void> {
    const { sessions } = this.#options;
    const next = sessions.served(record.nextSessionId!);
    if (next) return await this.#tell(record, offerOf(next), "asked");
    await sessions.advance(record.sessionId, { kind: "stay" });
  }

  /** Has the client go to the next session; then this one is over once it is drained. */
  async #tell(record: SessionRecord, next: SessionOffer, reason: RotatePeer["reason"]): Promise<void> {
    const { sessions, outbox, clock } = this.#options;
    const { sessionId } = record;
    const drainMs = reason === "exit_failed" ? 0 : DRAIN_MS;
    const told = await outbox.push(record.clientPeerId, {
      kind: "ROTATE_PEER",
      commandId: next.sessionId,
      sessionId,
      payload: { reason, next, drainMs },
      timeoutMs: TELL_WITHIN_MS,
    });
    this.#count.add(1, { outcome: told.ok ? "ok" : "untold" });
    if (hasSaidNo(told)) {
      await this.#end(next.sessionId, NOT_USED);
      await sessions.advance(sessionId, { kind: "stay" });
      if (reason !== "exit_drains") await this.#giveUp(record);
      return;
    }
    // Most clients end it themselves, sooner.
    if (drainMs > 0) await delay(clock, drainMs, this.#stop.signal);
    await this.#end(sessionId, { kind: "rotated", told: "replaced" });
  }

  /** Ends a session for which there was no other exit, unless its own is back, or still works. */
  async #giveUp({ sessionId, exit }: SessionRecord): Promise<void> {
    if (this.#options.troubleOf(exit!.exit.peerId) !== "exit_failed") return;
    await this.#end(sessionId, { kind: "exit_failed", told: "replaced" });
  }

  async #end(sessionId: string, { kind, told }: { kind: SessionEnd; told: Disconnect["reason"] }): Promise<void> {
    const { sessions, setup } = this.#options;
    const ended = await sessions.advance(sessionId, { kind: "end", reason: kind });
    if (ended) setup.end(ended, told);
  }
}

/** Whether the client has stayed where it was, and not only failed to answer. */
function hasSaidNo(told: CommandOutcome): boolean {
  return !told.ok && told.result !== undefined && told.result.status !== "forgotten";
}
