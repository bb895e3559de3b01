/**
 * The way of packets that a client has wished for which hides nothing from its supernode: its tunnel ends here, and the
 * supernode is a client of the exit, under its own keys. What the client is told is kept with the session, so that it
 * keeps its addresses when it is moved.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { PeerKeys } from "../../protocol/fields.ts";
import type { PacketOffer } from "../../protocol/control/packets.ts";
import type { SessionPackets, SessionRecord } from "../../protocol/session.ts";
import type { FarRelays } from "./far_relays.ts";
import type { TerminatedSession, TerminatingRelay } from "./packet_relay.ts";
import type { PacketAnswer, PacketWay } from "./packet_sessions.ts";

export interface TerminatedSessionsOptions {
  readonly supernodeId: string;
  readonly host: string;
  readonly relay: TerminatingRelay;
  readonly far: Pick<FarRelays, "find">;
  /** What this supernode shows of itself at present. */
  ownKeys(): PeerKeys;
}

export class TerminatedSessions implements PacketWay {
  readonly #options: TerminatedSessionsOptions;

  constructor(options: TerminatedSessionsOptions) {
    this.#options = options;
  }

  async open({ sessionId }: SessionRecord, exit: PeerKeys): Promise<SessionPackets> {
    return { relayPort: await this.#options.relay.prepare({ sessionId, exit }) };
  }

  async agreed(record: SessionRecord, { grant, relay }: PacketAnswer): Promise<SessionPackets> {
    const packets = { ...record.packets!, ...(relay !== undefined && { farRelay: relay }), grant };
    return { ...packets, offer: await this.#apply({ ...record, packets }) };
  }

  /** An exit speaks to a tunnel made anew when it is told to: the session goes on as another, with the same addresses. */
  reopen(_: SessionRecord): Promise<void> {
    return Promise.reject(new CulvertError("no_tunnel", "Cannot go on with a tunnel that another process has made"));
  }

  async close(sessionId: string): Promise<void> {
    await this.#options.relay.remove(sessionId);
  }

  async #apply(record: SessionRecord): Promise<PacketOffer> {
    const { supernodeId, relay, far, host, ownKeys } = this.#options;
    const { sessionId, clientPeerId, clientWireguardKey: clientKey, packets } = record;
    const { exit, supernodeId: exitSupernodeId } = record.exit!;
    const { farRelay: at, grant } = packets!;
    const { addresses } = record.wish;
    if (exitSupernodeId !== supernodeId && at === undefined) {
      throw new CulvertError("bad_relay", "Cannot relay to another supernode: it has not said where its port is");
    }
    const session: TerminatedSession = {
      sessionId,
      clientPeerId,
      clientKey,
      exit,
      grant: grant!,
      ...(at !== undefined && {
        exitAt: await far.find({ supernodeId: exitSupernodeId, at, own: { host, has: () => false } }),
      }),
      ...(addresses && { addresses }),
    };
    return { ...await relay.apply(session), terminatedBy: ownKeys() };
  }
}
