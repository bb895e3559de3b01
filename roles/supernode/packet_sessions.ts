/**
 * What sessions have that carry packets, beside what all sessions have: a port here, what exits are told of it and answer,
 * and what clients are offered.
 *
 *   open ──→ [SETUP_EXIT: relay = our port] ──→ agreed: the grant, and the far supernode's port ──→ offer
 *     │                    │ refused                      │ will not do
 *     └────────────────────┴──────────────────────────────┴──→ close                and whenever the session ends
 *
 * Ports are few, so each client has a handful of sessions, and another supernode, or all that are static, a quarter of the
 * ports. A port belongs to this process: one that is killed leaves none behind, and after a restart those of the sessions
 * that were kept are opened again.
 *
 * Not here: how packets are carried (`relayed_sessions.ts`, `terminated_sessions.ts`).
 */

import type { SetupExit } from "../../protocol/control/commands.ts";
import type { ExitWish, InfoFailure } from "../../protocol/control/messages.ts";
import type { PacketGrant, PacketOffer } from "../../protocol/control/packets.ts";
import type { ExitSetupResponse } from "../../protocol/directory.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { PeerKeys } from "../../protocol/fields.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { SessionPackets, SessionRecord } from "../../protocol/session.ts";
import { formatTarget } from "../../protocol/stream.ts";
import type { RelayAddressStore } from "../../kv/relay_addresses.ts";
import type { Clock } from "../../protocol/clock.ts";
import { delay } from "../../protocol/clock.ts";
import type { FarRelays } from "./far_relays.ts";
import { KnownPlaces } from "./known_places.ts";
import type { PacketCarriers } from "./packet_relay.ts";
import { RelayCounter } from "./relay_counter.ts";
import { RelayedSessions } from "./relayed_sessions.ts";
import type { Sessions } from "./sessions.ts";
import { TerminatedSessions } from "./terminated_sessions.ts";

/** Of one client: one in use, one it moves to, and what it has not let go of. */
const MAX_PER_CLIENT = 6;
/** Of all ports, for the clients of one other supernode, and for static sessions. */
const SHARE = 1 / 4;
const LOOK_EVERY_MS = 5_000;

/** What an exit, and its supernode, has answered. */
export interface PacketAnswer {
  readonly grant: PacketGrant;
  /** The port of the exit's supernode, if that is not this one. */
  readonly relay?: string | undefined;
}

/** How the packets of a session are carried. Everything rejects with a CulvertError. */
export interface PacketWay {
  /** Before the exit is asked. `clientRelay` is the port of the client's supernode, if that is not this one. */
  open(record: SessionRecord, exit: PeerKeys, clientRelay?: string): Promise<SessionPackets>;
  /** The exit serves it from now on. */
  agreed(record: SessionRecord, answer: PacketAnswer): Promise<SessionPackets>;
  /** As it was before a restart. */
  reopen(record: SessionRecord): Promise<void>;
  /** Harmless when there is nothing of it. */
  close(sessionId: string): Promise<void>;
}

export interface PacketSessionsOptions {
  readonly supernodeId: string;
  readonly sessions: Sessions;
  /** None: packets are not carried here. */
  readonly carriers?: PacketCarriers | undefined;
  readonly addresses: RelayAddressStore;
  readonly far: Pick<FarRelays, "find">;
  /** What this supernode shows of itself where it is a client of exits. */
  ownKeys(): PeerKeys;
  /** Whether the keys are those of an exit of this name. */
  isGenuine(exit: PeerKeys): boolean;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Why a wish for packets is not met. */
export interface PacketRefusal {
  readonly reason: InfoFailure;
  readonly remark: string;
  readonly retryAfterMs?: number;
}

export class PacketSessions {
  readonly #options: PacketSessionsOptions;
  readonly #relayed: RelayedSessions | undefined;
  readonly #terminated: TerminatedSessions | undefined;
  readonly #counter: RelayCounter | undefined;
  readonly #places: KnownPlaces;
  readonly #closing = new Set<Promise<void>>();

  constructor(options: PacketSessionsOptions) {
    this.#options = options;
    const { sessions, carriers, metrics } = options;
    const places = this.#places = new KnownPlaces(options.addresses, options);
    sessions.onGone = (record) => void this.close(record);
    if (!carriers) return;
    const { host, relay, terminating } = carriers;
    const ports = metrics.gauge("relay_ports_open", "UDP ports open for sessions that carry packets");
    const onCount = (count: number) => ports.set(count);
    this.#relayed = new RelayedSessions({ ...options, host, relay, places, onCount });
    this.#counter = new RelayCounter(relay, metrics);
    if (terminating) this.#terminated = new TerminatedSessions({ ...options, host, relay: terminating, places });
  }

  /** Whether packets are carried here at all. */
  get isRelaying(): boolean {
    return this.#relayed !== undefined;
  }

  /** Whether the tunnel to that exit, if one ends here, carries packets. */
  isTunnelHealthy(exitPeerId: string): boolean {
    return this.#options.carriers?.terminating?.isHealthy(exitPeerId) ?? true;
  }

  /**
   * Why the wish of a client that has these other sessions cannot be met now, whatever exits there are; undefined when it
   * is for streams, or can be met.
   */
  refusalOf({ carries, relay = "blind" }: ExitWish, others: readonly SessionRecord[]): PacketRefusal | undefined {
    if (carries !== "packets") return undefined;
    if (!this.#relayed) return { reason: "unavailable", remark: "This supernode does not relay packets" };
    if (relay === "terminate" && !this.#terminated) {
      return { reason: "unavailable", remark: "This supernode does not terminate tunnels: wish for a blind relay" };
    }
    if (others.filter(({ packets, isStatic }) => packets && !isStatic).length >= MAX_PER_CLIENT) {
      return { reason: "busy", remark: "The client has too many sessions", retryAfterMs: 30_000 };
    }
    if (relay === "blind" && this.#relayed.count >= this.#portCount) {
      return { reason: "busy", remark: "All ports of the relay are in use", retryAfterMs: 30_000 };
    }
    return undefined;
  }

  /** Whether that supernode's clients have as many ports here as one may have, or there are none. */
  isFullFor(supernodeId: string): boolean {
    const { sessions } = this.#options;
    if (!this.#relayed || this.#relayed.count >= this.#portCount) return true;
    return sessions.portsFor(supernodeId) >= Math.ceil(this.#portCount * SHARE);
  }

  /** How many static sessions there may be. */
  get maxStatic(): number {
    return Math.ceil(this.#portCount * SHARE);
  }

  /** Has a port ready for a session that is about to be set up at that exit; undefined when it carries no packets. */
  async open(record: SessionRecord, exit: PeerKeys, clientRelay?: string): Promise<SessionPackets | undefined> {
    if (record.wish.carries !== "packets") return undefined;
    return await this.#wayOf(record).open(record, exit, clientRelay);
  }

  /** What an exit is told of the session, in place of what it is told of all. */
  toldOf(record: SessionRecord): Partial<SetupExit> {
    const { packets, wish } = record;
    if (!packets || !this.#relayed) return {};
    const relay = this.endpointOf(packets);
    if (wish.relay !== "terminate") {
      const allowedIps = packets.grant?.addresses ?? wish.addresses;
      return { packets: { relay }, ...(allowedIps && { allowedIps }) };
    }
    const allowedIps = packets.grant?.addresses;
    const told = { packets: { relay, isTerminated: true }, ...(allowedIps && { allowedIps }) };
    if (!this.#isTerminatedHere(record)) return told;
    const { peerId: clientPeerId, wireguardKey: clientWireguardKey, ...proof } = this.#options.ownKeys();
    return { ...told, clientPeerId, clientWireguardKey, clientProof: proof };
  }

  /** The port of a session, as others find it. */
  endpointOf({ relayPort: port }: SessionPackets): string {
    return formatTarget({ host: this.#options.carriers!.host, port });
  }

  /** The exit serves it: puts together what belongs to it. Undefined when it carries no packets. */
  async agreed(
    record: SessionRecord,
    { packets: grant, relay }: Pick<ExitSetupResponse, "packets" | "relay">,
  ): Promise<SessionPackets | undefined> {
    if (!record.packets) return undefined;
    if (!grant) throw new CulvertError("no_grant", "Cannot set up an exit: it must grant addresses, got none");
    return await this.#wayOf(record).agreed(record, { grant, relay });
  }

  /** What the client of a session is told of its packets. */
  offerOf({ packets }: SessionRecord): PacketOffer | undefined {
    if (!packets?.grant || !this.#relayed) return undefined;
    return packets.offer ?? { ...packets.grant, endpoint: this.endpointOf(packets) };
  }

  /** Whether the exit's answer is what it was, as the client goes by it. */
  isAsGranted({ packets }: SessionRecord, { packets: grant }: Pick<ExitSetupResponse, "packets">): boolean {
    return !packets || grant?.addresses.join() === packets.grant?.addresses.join();
  }

  /** Lets go of what the session has here. Never rejects. */
  close(record: SessionRecord): Promise<void> {
    const { wish, sessionId } = record;
    const way = wish.carries === "packets" ? this.#findWay(record) : undefined;
    if (!way) return Promise.resolve();
    const closing: Promise<void> = way.close(sessionId).catch((error) =>
      this.#options.log.error("A session's relay was not closed", { session_id: sessionId, error: messageOf(error) })
    ).finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
    return closing;
  }

  /** After a restart: opens again what was open, and gives those that cannot go on. */
  async restore(): Promise<SessionRecord[]> {
    const { sessions } = this.#options;
    await this.#places.restore((sessionId) => sessions.find(sessionId) !== undefined);
    return await this.#reopenAll(() => true);
  }

  /** The same when the blind relay alone has begun afresh. */
  async restoreRelayed(): Promise<SessionRecord[]> {
    this.#relayed?.reset();
    return await this.#reopenAll((record) => !this.#isTerminatedHere(record));
  }

  async #reopenAll(isMeant: (record: SessionRecord) => boolean): Promise<SessionRecord[]> {
    const lost: SessionRecord[] = [];
    for (const record of [...this.#options.sessions]) {
      if (record.packets && isMeant(record) && !await this.reopen(record)) lost.push(record);
    }
    return lost;
  }

  /** False if that is not possible now. */
  async reopen(record: SessionRecord): Promise<boolean> {
    const { sessionId } = record;
    try {
      await this.#wayOf(record).reopen(record);
      // It has ended meanwhile, and was closed before it was open.
      if (!this.#options.sessions.find(sessionId)) await this.close(record);
      return true;
    } catch (error) {
      this.#options.log.warn("A session's relay cannot go on", { session_id: sessionId, error: messageOf(error) });
      return false;
    }
  }

  /** Until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    while (this.#relayed && !signal.aborted) {
      await this.#relayed.placeAll(signal);
      try {
        await this.#counter!.look();
        await this.#note();
      } catch (error) {
        log.debug("The relay was not looked at", { error: messageOf(error) });
      }
      await delay(clock, LOOK_EVERY_MS, signal).catch(() => {});
    }
  }

  /** Settles when nothing is being closed or written any more. */
  async closed(): Promise<void> {
    await Promise.all(this.#closing);
    await this.#places[Symbol.asyncDispose]();
  }

  /** Where the exits of tunnels that end here are. */
  async #note(): Promise<void> {
    if (!this.#terminated) return;
    const isAgreed = (record: SessionRecord) => record.packets?.grant !== undefined && this.#isTerminatedHere(record);
    await this.#terminated.note([...this.#options.sessions].filter(isAgreed));
  }

  get #portCount(): number {
    return this.#options.carriers?.relay.portCount ?? 0;
  }

  #isTerminatedHere(record: SessionRecord): boolean {
    return record.wish.relay === "terminate" && this.#options.sessions.isOwn(record);
  }

  #findWay(record: SessionRecord): PacketWay | undefined {
    return this.#isTerminatedHere(record) ? this.#terminated : this.#relayed;
  }

  #wayOf(record: SessionRecord): PacketWay {
    const way = this.#findWay(record);
    if (!way) throw new CulvertError("no_relay", "Cannot relay packets here: there is no relay of that kind");
    return way;
  }
}
