/**
 * All that is done with the sessions of a supernode, put together.
 *
 *   a client asks ───────→ RequestExit ─┐                ┌─ SessionKeeper: time has passed, its client has gone
 *   a supernode asks ────→ HostedExits ─┼─→ Sessions ←───┼─ Rotation: its exit or supernode is in trouble
 *   it is to last longer → Renewals ────┤        │       └─ SessionChecks, LostSessions: the other end knows nothing of it
 *   an administrator asks → Statics ────┘        ↓
 *                                  SessionEnding: everybody is told
 *
 * Those that carry packets have a port as well (PacketSessions), from before their exit is asked until they are over.
 * Here is only who knows whom: what each part does is in its file.
 */

import type { RelayAddressStore } from "../../kv/relay_addresses.ts";
import { CachingResolver } from "../../net/resolve.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { ClosedNetwork } from "../../protocol/control/auth.ts";
import { refusalOfPeerKeys } from "../../protocol/control/peer_keys.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { PeerKeys } from "../../protocol/fields.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Tracing } from "../../protocol/tracing.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import type { SessionRecord } from "../../protocol/session.ts";
import type { CommandOutbox } from "./command_outbox.ts";
import type { DataLinks } from "./data_links.ts";
import type { ExitPool } from "./exit_pool.ts";
import { ExitSetup } from "./exit_setup.ts";
import { FarRelays } from "./far_relays.ts";
import { HostedExits } from "./hosted_exits.ts";
import { LostSessions } from "./lost_sessions.ts";
import type { PacketCarriers } from "./packet_relay.ts";
import { PacketSessions } from "./packet_sessions.ts";
import type { Peering } from "./peering.ts";
import { RequestExit } from "./request_exit.ts";
import { ReturningExits } from "./returning_exits.ts";
import { Rotation } from "./rotation.ts";
import { SessionChecks } from "./session_checks.ts";
import { SessionEnding } from "./session_ending.ts";
import { SessionKeeper } from "./session_keeper.ts";
import { SessionRenewals } from "./session_renewals.ts";
import type { Sessions } from "./sessions.ts";
import { isFixed, StaticSessions } from "./static_sessions.ts";
import type { StreamManager } from "./stream_manager.ts";
import type { SupernodeLinks } from "./supernode_links.ts";

const SESSION_LIFETIME_MS = 12 * 3_600_000;

export interface SessionWorkOptions {
  readonly supernodeId: string;
  readonly sessions: Sessions;
  readonly outbox: CommandOutbox;
  readonly streams: StreamManager;
  readonly links: DataLinks;
  readonly supernodeLinks: SupernodeLinks;
  readonly pool: ExitPool;
  readonly peering: Peering;
  readonly carriers?: PacketCarriers | undefined;
  readonly relayAddresses: RelayAddressStore;
  /** What this supernode shows of itself at present. */
  ownKeys(): PeerKeys;
  readonly primitives: Primitives;
  readonly network?: ClosedNetwork | undefined;
  /** Default 12 h. */
  readonly sessionLifetimeMs?: number | undefined;
  readonly clientGraceMs: number;
  /** For `SessionKeeper`. */
  readonly lookEveryMs?: number | undefined;
  isRevoked(peerId: string): boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly tracing?: Tracing | undefined;
}

export class SessionWork implements Disposable {
  readonly ending: SessionEnding;
  readonly requests: RequestExit;
  readonly renewals: SessionRenewals;
  readonly rotation: Rotation;
  readonly returning: ReturningExits;
  readonly lost: LostSessions;
  readonly hosted: HostedExits;
  readonly checks: SessionChecks;
  readonly statics: StaticSessions;
  readonly packets: PacketSessions;
  readonly #sessions: Sessions;
  readonly #log: Log;
  readonly #keeper: SessionKeeper;

  constructor(options: SessionWorkOptions) {
    const { sessions, streams, links, supernodeLinks, pool, clock, sessionLifetimeMs = SESSION_LIFETIME_MS } = options;
    this.#sessions = sessions;
    this.#log = options.log;
    const hostOf = (id: string) => options.peering.hostOf(id);
    const far = new FarRelays({ resolver: new CachingResolver({ clock }), hostOf, clock });
    const { primitives, network } = options;
    const packets = this.packets = new PacketSessions({
      ...{ ...options, addresses: options.relayAddresses, far },
      isGenuine: (exit) =>
        refusalOfPeerKeys(exit, { role: "exit", wallMs: clock.wallNow(), primitives, network }) === undefined,
    });
    const { relay, terminating } = options.carriers ?? {};
    if (relay) relay.onReset = () => void this.#reopen(() => packets.restoreRelayed());
    if (terminating) terminating.onTrouble = (exitPeerId) => this.#tunnelFailed(exitPeerId);
    const isConnected = (peerId: string) => streams.get(peerId) !== undefined;
    const setup = new ExitSetup({
      ...options,
      packets,
      onElsewhere: (id) => supernodeLinks.prepare(id),
      onUntold: (id) => this.checks.untold(id),
    });
    const parts = { ...options, setup, packets, sessionLifetimeMs };
    const ending = this.ending = new SessionEnding({ ...parts, isConnected });
    const clientRttMs = (id: string) => links.linkOf({ kind: "peer", id })?.rttMs;
    const requests = this.requests = new RequestExit({ ...parts, clientRttMs });
    this.renewals = new SessionRenewals(parts);
    const rotation = this.rotation = new Rotation({
      ...parts,
      requests,
      ending,
      keysOf: (peerId) => streams.get(peerId)?.machine.peer,
      troubleOf: (peerId) => pool.troubleOf(peerId),
    });
    this.returning = new ReturningExits(clock, (exitPeerId) => rotation.suspect(exitPeerId));
    const statics = this.statics = new StaticSessions({ ...parts, requests });
    this.lost = new LostSessions({ ...parts, ending, rotation, statics });
    this.hosted = new HostedExits({ ...parts, ending, isDraining: () => streams.isDraining });
    this.checks = new SessionChecks({ ...parts, onLost: (record) => this.lost.unknownElsewhere(record) });
    this.#keeper = new SessionKeeper({
      ...parts,
      isConnected,
      end: (sessionId, reason, by) => ending.end(sessionId, reason, by),
      checkExit: (exitPeerId) => {
        if (!this.returning.has(exitPeerId) && pool.troubleOf(exitPeerId)) rotation.suspect(exitPeerId);
      },
    });
  }

  /** Reads back what was kept, and goes on with what was under way. */
  async restore(): Promise<void> {
    for (const record of await this.#sessions.restore()) {
      await this.ending.end(record.sessionId, "no_exit", "client");
    }
    for (const exitPeerId of this.#sessions.exitsHere()) this.returning.expect(exitPeerId);
    await this.#reopen(() => this.packets.restore());
    await this.rotation.restore();
  }

  /** Looks after them until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const parts = [this.#keeper, this.checks, this.packets, this.statics];
    await Promise.all(parts.map((part) => part.run(signal)));
  }

  [Symbol.dispose](): void {
    this.rotation[Symbol.dispose]();
    this.returning[Symbol.dispose]();
  }

  /** Settles when nothing runs any more. Dispose it first. */
  async closed(): Promise<void> {
    await this.rotation.closed();
    await this.statics.closed();
    await this.packets.closed();
  }

  /** Opens the relay's ports as they were. Sessions whose port is not to be had go to another, or end. Never rejects. */
  async #reopen(restore: () => Promise<SessionRecord[]>): Promise<void> {
    try {
      for (const record of await restore()) await this.#giveUp(record);
    } catch (error) {
      this.#log.error("Sessions could not be relayed again", { error: messageOf(error) });
    }
  }

  /** A tunnel that ends here carries nothing to that exit any more: its sessions go by another. */
  #tunnelFailed(exitPeerId: string): void {
    for (const record of this.#sessions.ofExit(exitPeerId)) {
      const isTerminated = record.wish.relay === "terminate" && this.#sessions.isOwn(record);
      if (isTerminated) this.rotation.move(record, "tunnel_failed");
    }
  }

  async #giveUp(record: SessionRecord): Promise<void> {
    if (isFixed(record)) return this.statics.keepClosed(record);
    // Its exit is as good as before: the session needs another port.
    if (this.#sessions.isOwn(record) && this.packets.isRelaying) return this.rotation.move(record, "relay_lost");
    await this.ending.end(record.sessionId, "exit_failed");
  }
}
