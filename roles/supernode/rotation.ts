/**
 * Moves sessions away from an exit that has failed, left or wants to stop, make before break.
 *
 *   exit lost ─→ half a second's grace ─→ another exit is set up ─→ ROTATE_PEER to the client
 *                                                                        │ it has gone there    │ it will not
 *                                                                        ↓                      ↓
 *                                            drained, then the old session ended      the new one ended, the old stays
 *
 * An exit is lost when its control stream or its data link is gone, when probes over that link are not answered, when its
 * own probes say that nothing comes out there, or when its supernode cannot be reached. Where the session belongs to
 * another supernode's client, that supernode is told and does the same. When there is no other exit the session stays for
 * when this one comes back, and is tried again, until it is given up; one whose exit still works, and only wants to stop,
 * is not given up before the exit has gone. One that the exit has let go of is tried for longer, since its client may have
 * found another by itself, and then ends. A client that cannot go to the exit it is sent to is sent to another.
 *
 * A static session has a client that knows one exit's key and cannot be told of another: it stays, and is there again when
 * its exit is (`static_sessions.ts`). Unless its tunnel ends here: then it is moved, however long there is no other exit.
 *
 * What a restart has interrupted is told once more: the command's id is the new session's, so it is applied once.
 */

import { orAborted } from "../../protocol/abort.ts";
import type { Clock } from "../../protocol/clock.ts";
import { delay } from "../../protocol/clock.ts";
import type { RotatePeer, SessionOffer } from "../../protocol/control/commands.ts";
import { type ExitWish, MAX_SESSIONS } from "../../protocol/control/messages.ts";
import type { ExitNotice } from "../../protocol/directory.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { PeerKeys } from "../../protocol/fields.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { SessionRecord } from "../../protocol/session.ts";
import { Deadlines } from "../../net/deadlines.ts";
import type { CommandOutbox } from "./command_outbox.ts";
import type { PacketSessions } from "./packet_sessions.ts";
import type { Peering } from "./peering.ts";
import type { RequestExit } from "./request_exit.ts";
import type { SessionEnding } from "./session_ending.ts";
import type { Sessions } from "./sessions.ts";
import { isFixed } from "./static_sessions.ts";

/** A reconnecting exit is back sooner. */
const GRACE_MS = 500;
const RETRY_MS = 2_000;
const MAX_TRIES = 5;
/** Where the exit still serves, until it has found another supernode, or an exit has come that can take its place. */
const MAX_TRIES_UNHURRIED = 30;
/** After so many, for whom is not given up. */
const SLOW_RETRY_MS = 10_000;
const TELL_WITHIN_MS = 60_000;
/** How long streams on a session whose exit still works may go on. */
const DRAIN_MS = 30_000;

export interface RotationOptions {
  readonly sessions: Sessions;
  readonly requests: Pick<RequestExit, "grant" | "offerOf">;
  readonly ending: SessionEnding;
  readonly outbox: CommandOutbox;
  readonly peering: Pick<Peering, "notify">;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** What a connected peer shows of itself at present: its certificate may be newer than when the session began. */
  keysOf(peerId: string): PeerKeys | undefined;
  /** Why sessions should leave an exit now, if they should; one that is not here has failed them. */
  troubleOf(exitPeerId: string): "exit_failed" | "exit_drains" | undefined;
  readonly packets: Pick<PacketSessions, "isTunnelHealthy">;
}

/**
 * Beside what other supernodes tell: `relay_lost`, the session has lost its port or tunnel here, and its exit is as good as
 * before; `tunnel_failed`, the tunnel to an exit carries nothing, and another is tried first.
 */
export type RotationReason = Exclude<ExitNotice["reason"], "ended"> | "relay_lost" | "tunnel_failed";

interface Move {
  readonly reason: RotationReason;
  /** Whether there is no need any more. */
  isBack(): boolean | Promise<boolean>;
}

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
  leave(exitPeerId: string, reason: Exclude<ExitNotice["reason"], "ended">): void {
    const { sessions } = this.#options;
    for (const record of sessions.ofExit(exitPeerId)) if (sessions.isOwn(record)) this.move(record, reason);
    this.tellOwners(exitPeerId, reason);
  }

  /** Tells other supernodes of trouble with an exit here at which their clients have sessions. */
  tellOwners(exitPeerId: string, reason: Exclude<ExitNotice["reason"], "ended">): void {
    const { sessions, peering, log } = this.#options;
    const away: SessionRecord[] = [];
    for (const record of sessions.ofExit(exitPeerId)) {
      if (!sessions.isOwn(record)) away.push(record);
    }
    for (const [supernodeId, records] of Map.groupBy(away, (record) => record.clientSupernodeId)) {
      const sessionIds = records.map(({ sessionId }) => sessionId);
      for (let from = 0; from < sessionIds.length; from += MAX_SESSIONS) {
        const notice = { exitPeerId, reason, sessionIds: sessionIds.slice(from, from + MAX_SESSIONS) };
        peering.notify(supernodeId, notice).catch((error) =>
          log.warn("A supernode was not told of an exit's end", { supernode_id: supernodeId, error: messageOf(error) })
        );
      }
    }
  }

  /** Moves the sessions of clients here away from all exits of a supernode that cannot be reached. */
  leaveSupernode(supernodeId: string, isBack: () => Promise<boolean>): void {
    for (const record of this.#options.sessions.via(supernodeId)) {
      this.#begin(record, { reason: "exit_failed", isBack });
    }
  }

  /** Another supernode says that its exit is in trouble, or that it serves a session no longer. */
  async heard({ reason, sessionIds, exitPeerId }: ExitNotice, supernodeId: string): Promise<void> {
    const { sessions, ending } = this.#options;
    for (const sessionId of sessionIds) {
      const record = sessions.find(sessionId);
      const fits = record?.exit?.exit.peerId === exitPeerId && record.exit.supernodeId === supernodeId;
      if (!record || !fits || !sessions.isOwn(record)) continue;
      // A fixed one is set up again when sessions are compared.
      if (reason === "ended" && isFixed(record)) continue;
      if (reason === "ended") await ending.end(sessionId, "exit_left", "exit");
      else this.move(record, reason);
    }
  }

  /** Moves one session of a client of ours; once, however often it is asked. */
  move(record: SessionRecord, reason: RotationReason): void {
    const exitPeerId = record.exit!.exit.peerId;
    const { troubleOf, packets } = this.#options;
    const isBack = () =>
      reason === "exit_failed" && troubleOf(exitPeerId) !== "exit_failed" ||
      reason === "tunnel_failed" && packets.isTunnelHealthy(exitPeerId);
    this.#begin(record, { reason, isBack });
  }

  /** Goes on with the rotations that a restart has interrupted, and ends sessions that were for rotations not yet begun. */
  async restore(): Promise<void> {
    const { sessions, ending } = this.#options;
    for (const record of [...sessions]) {
      const previous = sessions.find(record.previousSessionId ?? "");
      if (record.state === "rotating") this.#track(record, () => this.#resume(record));
      else if (previous && previous.nextSessionId !== record.sessionId) {
        await ending.end(record.sessionId, "no_exit", "client");
      }
    }
  }

  #begin(record: SessionRecord, move: Move): void {
    if (record.state !== "active") return;
    if (!isFixed(record)) return this.#track(record, () => this.#move(record, move));
    // An exit that nobody is to use any more is the one that is not waited for.
    if (move.reason === "revoked") this.#track(record, async () => void await this.#endFixed(record));
  }

  #endFixed({ sessionId }: SessionRecord): Promise<boolean> {
    return this.#options.ending.end(sessionId, "revoked", "client");
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
    if (this.#moving.has(sessionId) || this.#stop.signal.aborted) return;
    const moving = work().catch(async (error) => {
      if (this.#stop.signal.aborted) return;
      this.#options.log.error("A session was not moved", { session_id: sessionId, error: messageOf(error) });
      await this.#giveUp(sessionId);
    }).finally(() => this.#moving.delete(sessionId));
    this.#moving.set(sessionId, moving);
  }

  async #move(record: SessionRecord, { reason, isBack }: Move): Promise<void> {
    const { requests, clock, sessions, ending, keysOf } = this.#options;
    const { sessionId, clientPeerId, clientWireguardKey, clientProof } = record;
    const client = keysOf(clientPeerId) ??
      { peerId: clientPeerId, wireguardKey: clientWireguardKey, ...clientProof! };
    // An exit whose supernode goes away will be found at another.
    const unwanted = (record.wish.exclude ?? []).filter((exit) => exit !== record.exit!.exit.peerId);
    const excluded = new Set(unwanted);
    if (reason !== "supernode_drains" && reason !== "relay_lost") excluded.add(record.exit!.exit.peerId);
    const maxTries = maxTriesOf(record, reason);
    const ask = async () => {
      const wish = { ...record.wish, exclude: [...excluded].slice(-64), ...addressesOf(record) };
      const grant = await orAborted(requests.grant(client, wish, { previous: record }), this.#stop.signal);
      return grant.ok ? grant : undefined;
    };
    for (let tries = 0; tries < maxTries; tries++) {
      if (tries === 1 && reason === "tunnel_failed") excluded.delete(record.exit!.exit.peerId);
      if (tries > 0) await delay(clock, tries < MAX_TRIES_UNHURRIED ? RETRY_MS : SLOW_RETRY_MS, this.#stop.signal);
      if (sessions.find(sessionId)?.state !== "active") return;
      if (tries > 0 && await isBack()) return;
      let grant = await ask();
      // What the client did not want when it asked, long ago perhaps, is better than nothing.
      if (!grant && unwanted.filter((exit) => excluded.delete(exit)).length > 0) grant = await ask();
      if (!grant) continue;
      const next = grant.offer;
      if (!await sessions.advance(sessionId, { kind: "rotate", nextSessionId: next.sessionId })) {
        return void await ending.end(next.sessionId, "no_exit", "client"); // the client has let go of it meanwhile
      }
      if (await this.#tell(record, next, reason)) return;
      excluded.add(next.exit.peerId);
    }
    this.#count.add(1, { outcome: "no_exit" });
    // The exit has let go of it already.
    if (reason === "exit_left") return void await ending.end(sessionId, "exit_left", "exit");
    if (isUrgent(reason) && !await isBack()) await ending.end(sessionId, "exit_failed");
  }

  async #resume({ sessionId, nextSessionId }: SessionRecord): Promise<void> {
    const { sessions, requests } = this.#options;
    const record = sessions.find(sessionId);
    const next = sessions.served(nextSessionId!);
    if (record && next) await this.#tell(record, requests.offerOf(next), "exit_left");
    else await sessions.advance(sessionId, { kind: "stay" });
  }

  /** Leaves a session as if it had not been moved, so that it can be moved another time. Never rejects. */
  async #giveUp(sessionId: string): Promise<void> {
    const { sessions, ending } = this.#options;
    const nextSessionId = sessions.find(sessionId)?.nextSessionId;
    if (nextSessionId === undefined) return;
    // What the store does not take now holds here all the same.
    await sessions.advance(sessionId, { kind: "stay" }).catch(() => {});
    await ending.end(nextSessionId, "no_exit").catch(() => {});
  }

  /** Has the client go to the next session, after which this one is over. False if it stays where it is. */
  async #tell(record: SessionRecord, next: SessionOffer, reason: RotationReason): Promise<boolean> {
    const { sessions, outbox, ending, clock } = this.#options;
    const { sessionId, clientPeerId } = record;
    const drainMs = isUrgent(reason) ? 0 : DRAIN_MS;
    // Nobody is there to be told: its tunnel ends here, and goes on to the next exit already.
    if (record.isStatic) return await ending.end(sessionId, "rotated", "client");
    const order = {
      kind: "ROTATE_PEER" as const,
      commandId: next.sessionId,
      sessionId,
      payload: { reason: TOLD[reason], next, drainMs },
      timeoutMs: TELL_WITHIN_MS,
    };
    const told = await orAborted(outbox.push(clientPeerId, order), this.#stop.signal);
    this.#count.add(1, { outcome: told.ok ? "ok" : "untold" });
    if (told.ok) {
      // Most clients end it themselves, sooner.
      if (drainMs > 0) await delay(clock, drainMs, this.#stop.signal);
      await ending.end(sessionId, "rotated", "client");
      return true;
    }
    const hasAnswered = told.reason === "refused";
    await ending.end(next.sessionId, "no_exit", hasAnswered ? "client" : undefined);
    if (!hasAnswered || told.result?.code === "unknown_session") {
      await ending.end(sessionId, "client_left", hasAnswered ? "client" : undefined);
      return true;
    }
    await sessions.advance(sessionId, { kind: "stay" });
    return false;
  }
}

/** What the client has in its tunnel it would like to keep, so that nothing in it need be connected anew. */
function addressesOf({ packets }: SessionRecord): Pick<ExitWish, "addresses"> {
  const addresses = (packets?.offer ?? packets?.grant)?.addresses;
  return addresses ? { addresses } : {};
}

/**
 * A static session has a client that cannot ask for another: it is moved however long there is no exit, unless its packets
 * would go to one meanwhile that nobody is to use any more.
 */
function maxTriesOf({ isStatic }: SessionRecord, reason: RotationReason): number {
  if (isStatic && reason !== "revoked") return Infinity;
  return reason === "exit_failed" || reason === "revoked" ? MAX_TRIES : MAX_TRIES_UNHURRIED;
}

/** Whether nothing can be expected of the old exit any more. */
function isUrgent(reason: RotationReason): boolean {
  return URGENT.has(reason);
}

const URGENT: ReadonlySet<RotationReason> = new Set(["exit_failed", "revoked", "relay_lost", "tunnel_failed"]);

const TOLD: Readonly<Record<RotationReason, RotatePeer["reason"]>> = {
  exit_failed: "exit_failed",
  exit_left: "exit_left",
  exit_drains: "exit_drains",
  supernode_drains: "exit_drains",
  revoked: "exit_failed",
  relay_lost: "exit_failed",
  tunnel_failed: "exit_failed",
};
