/**
 * The blind way of packets: a UDP port for each session, between its client, its exit and, where the exit is behind
 * another supernode, that one's port. Where client and exit are the relay finds out from their handshakes; it is kept, so
 * that after a restart the same ports pass on what comes at once.
 */

import { decodeBase64 } from "../../protocol/encoding.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { PeerKeys } from "../../protocol/fields.ts";
import type { Log } from "../../protocol/log.ts";
import type { SessionPackets, SessionRecord } from "../../protocol/session.ts";
import type { Endpoint, Key } from "../../protocol/wireguard/settings.ts";
import type { FarRelays } from "./far_relays.ts";
import type { KnownPlaces, Places } from "./known_places.ts";
import type { PacketRelay } from "./packet_relay.ts";
import type { PacketAnswer, PacketWay } from "./packet_sessions.ts";
import type { Sessions } from "./sessions.ts";

export interface RelayedSessionsOptions {
  readonly supernodeId: string;
  /** Under which others find the ports. */
  readonly host: string;
  readonly relay: PacketRelay;
  readonly far: Pick<FarRelays, "find">;
  readonly sessions: Pick<Sessions, "find">;
  readonly places: KnownPlaces;
  readonly log: Log;
  /** How many ports are open now. */
  onCount(ports: number): void;
}

export class RelayedSessions implements PacketWay {
  readonly #options: RelayedSessionsOptions;
  /** By session. */
  readonly #ports = new Map<string, number>();
  /** Sessions whose other supernode's port is not known to the relay yet. */
  readonly #unplaced = new Set<string>();

  constructor(options: RelayedSessionsOptions) {
    this.#options = options;
    const { relay, sessions, places } = options;
    relay.onLearned = (sessionId, side, at) => {
      const record = sessions.find(sessionId);
      if (record) places.learned(record, side, at);
    };
  }

  get count(): number {
    return this.#ports.size;
  }

  async open(record: SessionRecord, exit: PeerKeys, clientRelay?: string): Promise<SessionPackets> {
    const { clientSupernodeId: supernodeId } = record;
    const clientAt = clientRelay === undefined ? undefined : await this.#find(clientRelay, supernodeId);
    const relayPort = await this.#open(record, exit, { ...(clientAt && { clientAt }) });
    return { relayPort, ...(clientRelay !== undefined && { farRelay: clientRelay }) };
  }

  async agreed(record: SessionRecord, { grant, relay: exitRelay }: PacketAnswer): Promise<SessionPackets> {
    const { supernodeId, relay } = this.#options;
    const { sessionId, exit, packets } = record;
    if (exit!.supernodeId === supernodeId) return { ...packets!, grant };
    if (exitRelay === undefined) {
      throw new CulvertError("bad_relay", "Cannot relay to another supernode: it has not said where its port is");
    }
    await relay.place(sessionId, "exit", await this.#find(exitRelay, exit!.supernodeId));
    this.#unplaced.delete(sessionId);
    return { ...packets!, farRelay: exitRelay, grant };
  }

  async reopen(record: SessionRecord): Promise<void> {
    const { sessionId, exit, packets } = record;
    await this.#open(record, exit!.exit, { port: packets!.relayPort, ...this.#options.places.of(sessionId) });
    if (packets!.farRelay !== undefined) this.#unplaced.add(sessionId);
  }

  async close(sessionId: string): Promise<void> {
    const { relay, places, log } = this.#options;
    this.#unplaced.delete(sessionId);
    const port = this.#ports.get(sessionId);
    this.#ports.delete(sessionId);
    this.#told();
    try {
      await relay.end(sessionId);
    } finally {
      await places.forget(sessionId);
    }
    if (port !== undefined) log.debug("A relay port was closed", { session_id: sessionId, port });
  }

  /** The relay has begun afresh, and has no ports. */
  reset(): void {
    this.#ports.clear();
    this.#told();
  }

  /** Tells the relay of the other supernodes' ports, as far as they can be found at present. Never rejects. */
  async placeAll(signal: AbortSignal): Promise<void> {
    for (const sessionId of [...this.#unplaced]) {
      if (signal.aborted) return;
      await this.#place(sessionId).catch((error) =>
        this.#options.log.info("Another supernode's port is not found", {
          session_id: sessionId,
          error: messageOf(error),
        })
      );
    }
  }

  async #open(
    { sessionId, clientWireguardKey }: SessionRecord,
    exit: PeerKeys,
    how: Places & { readonly port?: number },
  ): Promise<number> {
    const { relay, log } = this.#options;
    const clientKey = decodeBase64(clientWireguardKey) as Key;
    const exitKey = decodeBase64(exit.wireguardKey) as Key;
    const port = await relay.open({ sessionId, clientKey, exitKey, ...how });
    this.#ports.set(sessionId, port);
    this.#told();
    log.debug("A relay port is open", { session_id: sessionId, port });
    return port;
  }

  async #place(sessionId: string): Promise<void> {
    const { sessions, supernodeId, relay } = this.#options;
    const record = sessions.find(sessionId);
    if (record?.packets?.farRelay === undefined) return void this.#unplaced.delete(sessionId);
    const isExitFar = record.clientSupernodeId === supernodeId;
    const far = isExitFar ? record.exit!.supernodeId : record.clientSupernodeId;
    const at = await this.#find(record.packets.farRelay, far);
    if (!this.#unplaced.delete(sessionId)) return; // it has ended meanwhile
    await relay.place(sessionId, isExitFar ? "exit" : "client", at);
  }

  #find(at: string, supernodeId: string): Promise<Endpoint> {
    const { far, host } = this.#options;
    const open = new Set(this.#ports.values());
    return far.find({ supernodeId, at, own: { host, has: (port) => open.has(port) } });
  }

  #told(): void {
    this.#options.onCount(this.#ports.size);
  }
}
