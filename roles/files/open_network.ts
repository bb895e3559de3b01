/**
 * What `culvert peer` and its commands are made of alike: the identity, the trackers, the way to other peers, and what is
 * remembered of them.
 *
 *   find("CULVERT:…" | peer id | label) ─▶ FoundPeer ─▶ remote(found): its files
 *
 * A peer is looked for among those that were met and at the trackers at once; without a tracker that answers, what is remembered
 * does. Trackers that were given once are remembered as well.
 */

import { z } from "zod";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { DialledPeers } from "../../net/peers/dialled_peers.ts";
import { MeetingLinks } from "../../net/peers/meeting_links.ts";
import type { PeerParts } from "../../net/peers/peer_parts.ts";
import { relayPlaces } from "../../net/relay_places.ts";
import { CachingResolver } from "../../net/resolve.ts";
import { openSealCrypto } from "../../net/seal_crypto.ts";
import { TrackerClient, type TrackerClientOptions } from "../../net/tracker_client.ts";
import { RemoteFiles } from "../../net/transfers/remote_files.ts";
import type { Locate } from "../../net/websocket_dial.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Identity } from "../../protocol/identity.ts";
import type { PeerCard } from "../../protocol/peers/card.ts";
import type { ListedPeer } from "../../protocol/tracker/messages.ts";
import { pathUrl } from "../fields.ts";
import { loadOrCreateIdentity } from "../identity_store.ts";
import { Caller, callerFlags } from "../mutual_tls.ts";
import type { RoleContext } from "../role.ts";
import { StateDirectory } from "../state.ts";
import { type FoundPeer, PeerFinder } from "./find_peer.ts";
import { KnownLiars } from "./known_liars.ts";
import { KnownPeers } from "./known_peers.ts";
import { rememberedTrackers, rememberTrackers } from "./tracker_memory.ts";

export const networkFlags = {
  tracker: z.array(pathUrl(undefined, { schemes: ["https", "http"] })).max(8).default([])
    .describe("A tracker to find peers by.").meta({ defaultText: "those given the last time" }),
  caFile: callerFlags.caFile,
};

export type NetworkSettings = z.output<z.ZodObject<typeof networkFlags>>;

/** What a peer that wants to be listed says of itself; without `describe` it only asks. */
export interface Listing extends Pick<TrackerClientOptions, "state" | "joinToken" | "onPeers"> {
  /** Our card as it is now; asked for from the start. */
  describe?(identity: Identity): PeerCard | undefined;
  /** What cannot be done when a setting is wrong: "start peer". */
  readonly action: string;
  /** URLs of relays that we were told to use, wherever they lead. */
  readonly near?: readonly string[];
}

export interface OpenNetwork extends AsyncDisposable {
  readonly parts: PeerParts;
  readonly state: StateDirectory;
  /** Undefined where there are none. */
  readonly trackers: TrackerClient | undefined;
  readonly links: MeetingLinks;
  readonly peers: DialledPeers;
  readonly known: KnownPeers;
  readonly liars: KnownLiars;
  readonly caller: Caller | undefined;
  /** Rejects with `not_found`, `ambiguous`, `bad_ticket` or `expired_ticket`, in words that say what to do. */
  find(who: string, signal?: AbortSignal): Promise<FoundPeer>;
  /** Those that trackers list, without ourselves: all, or those with that capability. */
  online(capability?: string, signal?: AbortSignal): AsyncGenerator<ListedPeer>;
  /** Its files; nothing is dialled before something is asked. */
  remote(found: FoundPeer): RemoteFiles;
}

export async function openNetwork(
  settings: NetworkSettings,
  listing: Listing,
  context: RoleContext,
): Promise<OpenNetwork> {
  const { clock, random, log, metrics, signal } = context;
  const primitives = hostPrimitives();
  const state = await StateDirectory.open(context.stateDir);
  const { identity } = await loadOrCreateIdentity(state, { random, primitives, clock, signal });
  await using held = new AsyncDisposableStack();
  const caller = await Caller.open({ ...settings, clientCertFile: undefined, clientKeyFile: undefined }, {
    ...{ action: listing.action, clock, log },
  });
  if (caller) held.use(caller);
  const crypto = held.use(await openSealCrypto({ explain: (reason) => log.debug("No libcrypto", { reason }) }));
  const partsLog = listing.describe ? log : quiet(log);
  const parts: PeerParts = { identity, primitives, crypto, clock, random, log: partsLog, metrics };
  const known = await KnownPeers.open({ ...context, primitives });
  const liars = await KnownLiars.open(context);
  const urls = await trackersOf(settings, state, context);
  const trackers = urls.length === 0 ? undefined : held.use(
    new TrackerClient({
      ...{
        ...listing,
        describe: listing.describe && (() => listing.describe!(identity)),
        signer: identity,
        clock,
        random,
        primitives,
        log,
        trackers: urls,
        fetch: caller?.fetch,
      },
    }),
  );
  const locate = locateRelays([...urls, ...listing.near ?? []], context);
  const links = held.use(new MeetingLinks({ ...parts, caCerts: caller?.caCerts, locate }));
  const keeping = held.use(new Keeping((card) => known.remember({ card }), context));
  const keep = (card: PeerCard) => keeping.keep(card);
  const peers = held.use(new DialledPeers({ ...parts, links, onCard: keep }));
  const finder = new PeerFinder({ known, trackers, primitives, clock, log, ownId: identity.peerId });
  const kept = held.move();
  return {
    ...{ parts, state, trackers, links, peers, known, liars, caller },
    find: (who, signal) => finder.find(who, signal),
    online: (capability, signal) => finder.online(capability, signal),
    remote: ({ card, invitation, observedAddress }) =>
      new RemoteFiles({
        peerId: card.peerId,
        label: card.label,
        clock,
        connect: (signal) => peers.connect(card, { signal, invitation, observedAddress }),
      }),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/**
 * Trackers tell of relays that anybody may have listed: none leads into a private network, unless the trackers are in one of
 * that kind. Without trackers whom one meets has been chosen by hand.
 */
function locateRelays(near: readonly (URL | string)[], { clock }: RoleContext): Locate | undefined {
  return near.length === 0 ? undefined : relayPlaces({ near, resolver: new CachingResolver({ clock }) });
}

/** For commands, whose results say it better. */
function quiet(log: Log): Log {
  return {
    debug: (message, fields) => log.debug(message, fields),
    info: (message, fields) => log.debug(message, fields),
    warn: (message, fields) => log.warn(message, fields),
    error: (message, fields) => log.error(message, fields),
    with: (fields) => quiet(log.with(fields)),
  };
}

/** Writes cards down one after the other; disposing waits for the last. */
class Keeping implements AsyncDisposable {
  readonly #write: (card: PeerCard) => Promise<void>;
  readonly #context: Pick<RoleContext, "log">;
  #last: Promise<void> = Promise.resolve();

  constructor(write: (card: PeerCard) => Promise<void>, context: Pick<RoleContext, "log">) {
    this.#write = write;
    this.#context = context;
  }

  keep(card: PeerCard): void {
    this.#last = this.#last.then(() => this.#write(card)).catch((error) => {
      this.#context.log.debug("A card was not kept", { error: messageOf(error) });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last;
  }
}

/** Those of the settings, and otherwise those of the last time. */
async function trackersOf(
  { tracker }: NetworkSettings,
  state: StateDirectory,
  context: RoleContext,
): Promise<readonly URL[]> {
  if (tracker.length === 0) return await rememberedTrackers(state);
  await rememberTrackers(state, tracker, context);
  return tracker;
}
