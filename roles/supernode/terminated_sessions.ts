/**
 * The way of packets that a client has wished for which hides nothing from its supernode: its tunnel ends here, and the
 * supernode is a client of the exit, under its own keys. What the client is told is kept with the session, so that it
 * stays the same over a restart and when its exit is replaced.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { PeerKeys } from "../../protocol/fields.ts";
import type { PacketOffer } from "../../protocol/control/packets.ts";
import type { SessionPackets, SessionRecord } from "../../protocol/session.ts";
import type { Endpoint } from "../../protocol/wireguard/settings.ts";
import type { FarRelays } from "./far_relays.ts";
import type { KnownPlaces } from "./known_places.ts";
import type { TerminatedSession, TerminatingRelay } from "./packet_relay.ts";
import type { PacketAnswer, PacketWay } from "./packet_sessions.ts";

export interface TerminatedSessionsOptions {
  readonly supernodeId: string;
  readonly host: string;
  readonly relay: TerminatingRelay;
  readonly far: Pick<FarRelays, "find">;
  readonly places: KnownPlaces;
  /** What this supernode shows of itself at present. */
  ownKeys(): PeerKeys;
  /** Whether the keys are those of an exit of this name. */
  isGenuine(exit: PeerKeys): boolean;
}

export class TerminatedSessions implements PacketWay {
  readonly #options: TerminatedSessionsOptions;

  constructor(options: TerminatedSessionsOptions) {
    this.#options = options;
  }

  /** All sessions of an exit share one tunnel, so another supernode's word for its key is not enough. */
  async open({ sessionId }: SessionRecord, exit: PeerKeys): Promise<SessionPackets> {
    const { relay, isGenuine } = this.#options;
    if (!isGenuine(exit)) {
      throw new CulvertError("bad_keys", `Cannot terminate a tunnel: the key of exit ${exit.peerId} must be its own`);
    }
    return { relayPort: await relay.prepare({ sessionId, exit }) };
  }

  async agreed(record: SessionRecord, { grant, relay }: PacketAnswer): Promise<SessionPackets> {
    const packets = { ...record.packets!, ...(relay !== undefined && { farRelay: relay }), grant };
    const offer = await this.#apply({ ...record, packets });
    await this.note([record]).catch(() => {}); // it is noted again later
    return { ...packets, offer };
  }

  /** It must become what its client and its exit have been told. */
  async reopen(record: SessionRecord): Promise<void> {
    const { sessionId, exit, packets } = record;
    const { relayPort: port, offer } = packets!;
    if (!offer) throw changed("offer");
    const now = await this.#options.relay.prepare({ sessionId, exit: exit!.exit, port });
    if (now !== port) throw changed(`port ${port}`);
    const { addresses, endpoint } = await this.#apply(record, { addresses: offer.addresses, isResumed: true });
    if (endpoint !== offer.endpoint || addresses.join() !== offer.addresses.join()) throw changed("addresses");
  }

  async close(sessionId: string): Promise<void> {
    const { relay, places } = this.#options;
    try {
      await relay.remove(sessionId);
    } finally {
      await places.forget(sessionId);
    }
  }

  /** Notes where the exits of sessions are heard at present: to find them there after a restart. */
  async note(records: readonly SessionRecord[]): Promise<void> {
    const { relay, places } = this.#options;
    // All sessions of an exit share one tunnel.
    for (const ofExit of Map.groupBy(records, ({ exit }) => exit!.exit.peerId).values()) {
      const at = await relay.exitAt(ofExit[0]!.sessionId);
      if (at) { for (const record of ofExit) places.learned(record, "exit", at); }
    }
  }

  async #apply(
    record: SessionRecord,
    resumed: Partial<Pick<TerminatedSession, "addresses" | "isResumed">> = {},
  ): Promise<PacketOffer> {
    const { supernodeId, relay, places, ownKeys } = this.#options;
    const { sessionId, clientPeerId, clientWireguardKey: clientKey, packets } = record;
    const { exit, supernodeId: exitSupernodeId } = record.exit!;
    const { farRelay: at, grant } = packets!;
    const { addresses = record.wish.addresses, isResumed } = resumed;
    if (exitSupernodeId !== supernodeId && at === undefined) {
      throw new CulvertError("bad_relay", "Cannot relay to another supernode: it has not said where its port is");
    }
    const { exitAt: lastAt } = places.of(sessionId);
    // After a restart nobody may be there yet who could say where the other supernode is.
    const isFound = at === undefined || isResumed && lastAt !== undefined;
    const exitAt = isFound ? lastAt : await this.#find(at, exitSupernodeId);
    const session: TerminatedSession = {
      sessionId,
      clientPeerId,
      clientKey,
      exit,
      grant: grant!,
      ...(exitAt && { exitAt }),
      ...(addresses && { addresses }),
      ...(isResumed && { isResumed }),
    };
    return { ...await relay.apply(session), terminatedBy: ownKeys() };
  }

  #find(at: string, supernodeId: string): Promise<Endpoint> {
    const { far, host } = this.#options;
    return far.find({ supernodeId, at, own: { host, has: () => false } });
  }
}

function changed(what: string): CulvertError {
  return new CulvertError("changed", `Cannot go on with a session: its ${what} cannot be had any more`);
}
