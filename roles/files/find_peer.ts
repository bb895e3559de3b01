/**
 * Whom somebody means by a ticket, a peer id or a label, and how to reach them: by what the ticket says, what is remembered,
 * and what the trackers know, whichever card is the newest.
 */

import type { TrackerClient } from "../../net/tracker_client.ts";
import type { Clock } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { isPeerId } from "../../protocol/identity.ts";
import type { Log } from "../../protocol/log.ts";
import type { PeerCard } from "../../protocol/peers/card.ts";
import { decodeTicket, looksLikeTicket, type Ticket, type TicketFault } from "../../protocol/peers/ticket.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import { type ListedPeer, MAX_LISTED } from "../../protocol/tracker/messages.ts";
import { quoteText } from "../escape.ts";
import type { KnownPeers } from "./known_peers.ts";

/** A label is looked for among so many peers of the trackers. */
const MAX_LABELS_LOOKED_AT = 2000;

/** All of a tracker's peers are fewer pages; one that never comes to an end is left there. */
const MAX_PAGES = 10_000;

/** Somebody who was found, and what a ticket says beside. */
export interface FoundPeer {
  readonly card: PeerCard;
  readonly invitation?: string | undefined;
  readonly observedAddress?: string | undefined;
  /** What the ticket is for; undefined without one. */
  readonly path?: string;
  readonly root?: string | undefined;
  readonly size?: number | undefined;
}

export interface PeerFinderOptions {
  readonly known: KnownPeers;
  readonly trackers: Pick<TrackerClient, "find" | "list"> | undefined;
  readonly primitives: Primitives;
  readonly clock: Clock;
  readonly log: Log;
  readonly ownId: string;
}

const TICKET_FAULTS: Readonly<Record<TicketFault, string>> = {
  no_ticket: "it must begin with CULVERT: and be whole",
  damaged: "letters of it are missing or wrong; copy it again, all of it",
  unknown_version: "it was made by a newer version of culvert",
};

export class PeerFinder {
  readonly #options: PeerFinderOptions;

  constructor(options: PeerFinderOptions) {
    this.#options = options;
  }

  async find(who: string, signal?: AbortSignal): Promise<FoundPeer> {
    const found = looksLikeTicket(who)
      ? await this.#byTicket(who, signal)
      : isPeerId(who)
      ? await this.#byId(who, signal)
      : await this.#byLabel(who, signal);
    const { card, invitation, observedAddress } = found;
    await this.#options.known.remember({
      card,
      ...invitation !== undefined && { invitation },
      ...observedAddress !== undefined && { observedAddress },
    });
    return found;
  }

  /** Peers that trackers list, without ourselves; those with that capability when one is named. */
  async *online(capability?: string, signal?: AbortSignal): AsyncGenerator<ListedPeer> {
    const { trackers, ownId } = this.#options;
    let after: string | undefined;
    for (let pages = 0; pages < MAX_PAGES; pages++) {
      const query = { limit: MAX_LISTED, ...capability !== undefined && { capability }, ...after && { after } };
      const page = await trackers?.list(query, { ...signal && { signal } });
      for (const peer of page?.peers ?? []) if (peer.card.peerId !== ownId) yield peer;
      if (page?.next === undefined || page.next <= (after ?? "")) return;
      after = page.next;
    }
  }

  async #byTicket(text: string, signal: AbortSignal | undefined): Promise<FoundPeer> {
    const ticket = this.#read(text);
    const { card, invitation, path, root, size } = ticket;
    // The peer may have moved since; the ticket's own card does when nobody knows.
    const newer = await this.#byId(card.peerId, signal).catch(() => undefined);
    const isNewer = newer !== undefined && newer.card.issuedAtMs >= card.issuedAtMs;
    return { ...isNewer ? newer : { card }, invitation: invitation ?? newer?.invitation, path, root, size };
  }

  #read(text: string): Ticket {
    const { primitives, clock } = this.#options;
    const ticket = decodeTicket(text, primitives);
    if (typeof ticket === "string") {
      throw new CulvertError("bad_ticket", `Cannot use the ticket: ${TICKET_FAULTS[ticket]}`);
    }
    if (clock.wallNow() < (ticket.expiresAtMs ?? Infinity)) return ticket;
    throw new CulvertError("expired_ticket", "Cannot use the ticket: it has expired; ask for a new one");
  }

  async #byId(peerId: string, signal: AbortSignal | undefined): Promise<FoundPeer> {
    const [known, listed] = await Promise.all([this.#options.known.find(peerId), this.#ask(peerId, signal)]);
    const newest = known && (!listed || known.card.issuedAtMs > listed.card.issuedAtMs) ? known : listed;
    if (!newest) {
      throw new CulvertError("not_found", `Cannot find ${peerId}: no tracker knows it, and it was not met before`);
    }
    const observedAddress = listed?.observedAddress ?? known?.observedAddress;
    return { card: newest.card, invitation: known?.invitation, observedAddress };
  }

  async #byLabel(label: string, signal: AbortSignal | undefined): Promise<FoundPeer> {
    const met = (await this.#options.known.list()).filter(({ card }) => card.label === label);
    // Nothing vouches for a label: of somebody we have met we at least know who it was.
    if (met.length === 1) return await this.#byId(met[0]!.card.peerId, signal);
    const ids = new Set(met.map(({ card }) => card.peerId));
    if (ids.size === 0) { for (const id of await this.#listed(label, signal)) ids.add(id); }
    const [peerId] = ids;
    if (ids.size === 1) return await this.#byId(peerId!, signal);
    const shown = quoteText(label, 64);
    if (peerId === undefined) {
      throw new CulvertError("not_found", `Cannot find ${shown}: nobody of that name was met, or is at a tracker`);
    }
    throw new CulvertError(
      "ambiguous",
      `Cannot tell who ${shown} is: ${[...ids].slice(0, 4).join(", ")} are called so; give the peer id`,
    );
  }

  async #listed(label: string, signal: AbortSignal | undefined): Promise<string[]> {
    const ids: string[] = [];
    let looked = 0;
    try {
      for await (const { card } of this.online(undefined, signal)) {
        if (card.label === label) ids.push(card.peerId);
        if (++looked === MAX_LABELS_LOOKED_AT) break;
      }
    } catch (error) {
      this.#options.log.debug("Trackers do not answer", { error: messageOf(error) });
    }
    return ids;
  }

  async #ask(peerId: string, signal: AbortSignal | undefined): Promise<ListedPeer | undefined> {
    try {
      return await this.#options.trackers?.find(peerId, { ...signal && { signal } });
    } catch (error) {
      signal?.throwIfAborted();
      this.#options.log.debug("Trackers do not answer", { error: messageOf(error) });
      return undefined;
    }
  }
}
