/**
 * A peer's side of trackers (`edge/tracker.ts`): is listed at all of them at once, and asks them for others.
 *
 *   each tracker   register ─▶ heartbeats, as often as it says ─▶ … ─▶ unregister     (`tracker_membership.ts`)
 *   list, find     all are asked, and what they say is put together
 *   events         of all, each connection made anew when it ends                     (`tracker_events.ts`)
 *
 * Without a tracker that answers a peer goes on with those it knows: nothing here ends because one is gone. No card is given
 * out that its peer has not signed. To remember cards is left to the caller, and so is whom to believe when several trackers
 * know different addresses of a peer: of two cards the one issued later is given.
 */

import type { Clock } from "../protocol/clock.ts";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import { type Log, silentLog } from "../protocol/log.ts";
import type { PeerCard } from "../protocol/peers/card.ts";
import {
  doneSchema,
  type Heartbeat,
  type ListedPeer,
  listedPeerSchema,
  MAX_LISTED,
  type PeerEvent,
  type PeerFilter,
  type PeerPage,
  peerPageSchema,
  type PeerQuery,
  type RelayStatus,
  relayStatusSchema,
  type Report,
} from "../protocol/tracker/messages.ts";
import { CardCheck } from "./tracker_cards.ts";
import { followTracker } from "./tracker_events.ts";
import { TrackerMembership, type TrackerState } from "./tracker_membership.ts";
import { type Call, HttpCallError, SignedHttp, type SignedHttpOptions } from "./signed_http.ts";

export type { TrackerState } from "./tracker_membership.ts";

export interface TrackerClientOptions extends SignedHttpOptions {
  /** Where trackers are, their API below `api/`; at least one. */
  readonly trackers: readonly URL[];
  /** Our card as it is now. Left out we are listed nowhere, and only ask. */
  readonly describe?: (() => PeerCard | undefined) | undefined;
  /** What heartbeats say. */
  readonly state?: (() => Heartbeat) | undefined;
  /** For trackers that let in only those who have it. */
  readonly joinToken?: string | undefined;
  /** Others that a tracker has named when we registered. */
  onPeers?(peers: readonly ListedPeer[]): void;
  readonly log?: Log;
}

interface AskOptions {
  readonly signal?: AbortSignal | undefined;
}

/** What is asked of one tracker. */
interface Question<T> extends AskOptions {
  readonly path: string;
  readonly deed: string;
  readonly answer: Call<T>["answer"];
}

/** Registers from the start until it is disposed, which unregisters where it can. */
export class TrackerClient implements AsyncDisposable {
  readonly #http: SignedHttp;
  readonly #cards: CardCheck;
  readonly #clock: Clock;
  readonly #options: TrackerClientOptions;
  readonly #log: Log;
  readonly #closing = new AbortController();
  readonly #members: readonly TrackerMembership[];
  readonly #following = new Set<Promise<void>>();

  constructor(options: TrackerClientOptions) {
    if (options.trackers.length === 0) {
      throw new CulvertError("invalid_option", "Cannot use trackers: trackers must name at least one, got none");
    }
    this.#options = options;
    this.#clock = options.clock;
    this.#log = options.log ?? silentLog;
    this.#http = new SignedHttp(options);
    this.#cards = new CardCheck(options.primitives);
    const shared = { ...options, http: this.#http, log: this.#log, cards: this.#cards };
    this.#members = options.trackers.map((url) => new TrackerMembership(below(url), shared));
  }

  /** How we stand with each of them, in their order. */
  get trackers(): readonly TrackerState[] {
    return this.#members.map(({ state }) => state);
  }

  /** Our card has changed: trackers are told soon. */
  refresh(): void {
    for (const member of this.#members) member.refresh();
  }

  /**
   * Peers that match, in the order of their ids; ask for those after `next` if there is one. Rejects with an HttpCallError
   * when no tracker answers.
   */
  async list(query: PeerQuery = {}, { signal }: AskOptions = {}): Promise<PeerPage> {
    const question = { path: `api/peers/list?${textOf(query)}`, deed: "list peers", answer: peerPageSchema, signal };
    return mergePages(await this.#askAll(question), query, this.#cards);
  }

  /** A peer as trackers know it now; undefined if none of those that answer does. Rejects when none answers. */
  async find(peerId: string, { signal }: AskOptions = {}): Promise<ListedPeer | undefined> {
    const question = { path: `api/peers/${peerId}`, deed: "find a peer", answer: listedPeerSchema, signal };
    const found = (await this.#askAll(question)).filter((peer) => peer?.card.peerId === peerId);
    return newest(found.filter((peer) => peer !== undefined && this.#cards.isGenuine(peer.card)));
  }

  /** How a tracker fares; one that answers. */
  async status({ signal }: AskOptions = {}): Promise<RelayStatus> {
    const question = { path: "api/relay/status", deed: "ask for the status", answer: relayStatusSchema, signal };
    return (await this.#askAll(question)).find((status) => status !== undefined)!;
  }

  /** Tells the trackers where we are listed how a peer has served us. Never rejects: it is only a hint. */
  async report(report: Report): Promise<void> {
    await Promise.all(this.#members.map(async ({ url, token }) => {
      if (token === undefined) return;
      const call = { deed: "report on a peer", body: report, bearer: token, answer: doneSchema };
      await this.#http.call({ ...call, url: new URL("api/peers/report", url), signal: this.#closing.signal })
        .catch((error) => this.#log.debug("A report was not taken", { tracker: url.host, error: messageOf(error) }));
    }));
  }

  /**
   * Calls back with what changes, at whichever tracker, until it is disposed. What changes while a tracker cannot be heard is
   * not told later: `onGap` is called whenever one is heard (again), to list anew.
   */
  follow(filter: PeerFilter, onEvent: (event: PeerEvent) => void, onGap: () => void = () => {}): Disposable {
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#closing.signal]);
    const { fetch: ask = fetch, random } = this.#options;
    for (const member of this.#members) {
      const following = followTracker({
        url: new URL(`api/peers/events?${textOf(filter)}`, member.url),
        token: () => member.token,
        fetch: ask,
        clock: this.#clock,
        random,
        log: this.#log,
        onGap,
        onEvent: (event) => {
          if (event.type === "left" || this.#cards.isGenuine(event.peer.card)) onEvent(event);
        },
      }, signal);
      this.#following.add(following);
      following.finally(() => this.#following.delete(following));
    }
    return { [Symbol.dispose]: () => stop.abort() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new CulvertError("closed", "The trackers' client was closed"));
    await Promise.all([...this.#members.map((member) => member[Symbol.asyncDispose]()), ...this.#following]);
  }

  /** What each tracker answers, undefined for "not found". Rejects when none answers. */
  async #askAll<T>({ path, signal, ...question }: Question<T>): Promise<(T | undefined)[]> {
    const either = signal ? AbortSignal.any([signal, this.#closing.signal]) : this.#closing.signal;
    const answers = await Promise.allSettled(this.#members.map(async ({ url, token }) => {
      const call = { ...question, url: new URL(path, url), bearer: token, signal: either };
      return await this.#http.call<T>(call).catch((error) => {
        if (error instanceof HttpCallError && error.status === 404) return undefined;
        throw error;
      });
    }));
    const good = answers.filter((answer) => answer.status === "fulfilled");
    if (good.length === 0) throw (answers[0] as PromiseRejectedResult).reason;
    return good.map(({ value }) => value);
  }
}

/**
 * One page of what several trackers have said: no further than the one that has come least far. What does not lead on from
 * where the page begins is left out, or who follows the pages would never come to an end.
 */
function mergePages(
  answers: readonly (PeerPage | undefined)[],
  { after = "", limit = MAX_LISTED }: PeerQuery,
  cards: CardCheck,
): PeerPage {
  const pages = answers.filter((page) => page?.next === undefined || page.next > after);
  const horizon = pages.map((page) => page?.next).filter((next) => next !== undefined).sort()[0];
  const byId = new Map<string, ListedPeer>();
  for (const peer of pages.flatMap((page) => page?.peers ?? [])) {
    const { peerId } = peer.card;
    if (peerId <= after || horizon !== undefined && peerId > horizon) continue;
    const known = byId.get(peerId);
    if (cards.isGenuine(peer.card)) byId.set(peerId, known ? newest([known, peer])! : peer);
  }
  const sorted = [...byId.values()].sort((a, b) => a.card.peerId < b.card.peerId ? -1 : 1);
  const peers = sorted.slice(0, limit);
  const next = sorted.length > limit ? peers.at(-1)!.card.peerId : horizon;
  return { peers, ...next !== undefined && { next } };
}

/** By its card, and of the same card who was seen last. */
function newest(peers: readonly (ListedPeer | undefined)[]): ListedPeer | undefined {
  return peers.reduce((best, peer) => {
    if (!best || !peer) return best ?? peer;
    return (peer.card.issuedAtMs - best.card.issuedAtMs || peer.seenAtMs - best.seenAtMs) > 0 ? peer : best;
  }, undefined);
}

function textOf(query: Readonly<Record<string, string | number | undefined>>): URLSearchParams {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  return new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
}

/** The URL with a slash at its end, so that paths are below it. */
function below(url: URL): URL {
  return url.pathname.endsWith("/") ? url : new URL(`${url.pathname}/`, url);
}
