/**
 * The relays that a peer is reached by: those it was given, and otherwise a few that the trackers know.
 *
 *   given ─▶ kept, whatever happens
 *   trackers' list ─▶ at random, `COUNT` of them ─▶ one that is down for long is replaced by another
 */

import type { Clock } from "../../protocol/clock.ts";
import { encodeBase32 } from "../../protocol/encoding.ts";
import type { Log } from "../../protocol/log.ts";
import type { MeetingPlace } from "../../protocol/peers/card.ts";
import type { Random } from "../../protocol/random.ts";
import type { TrackerClient } from "../../net/tracker_client.ts";
import type { KeptLink } from "../../net/peers/meeting_links.ts";
import { repeat } from "../repeating.ts";

const COUNT = 2;
const PEER_ID_BYTES = 16;
/** How often the links are looked at. */
const LOOK_MS = 5_000;
/** A relay that is restarted is back sooner. */
const DOWN_TOO_LONG_MS = 30_000;

export interface ChosenRelaysOptions {
  readonly given: readonly MeetingPlace[];
  /** Undefined: none but those given. */
  readonly trackers: Pick<TrackerClient, "list"> | undefined;
  keep(place: MeetingPlace): KeptLink;
  /** The card has to say something else. */
  onChange(): void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

interface Chosen {
  readonly link: KeptLink;
  /** Since when it has not been up; undefined while it is. */
  downSinceMs: number | undefined;
}

export class ChosenRelays implements Disposable {
  readonly #options: ChosenRelaysOptions;
  readonly #given: readonly KeptLink[];
  readonly #chosen: Chosen[] = [];
  #following: Disposable | undefined;

  constructor(options: ChosenRelaysOptions) {
    this.#options = options;
    this.#given = options.given.map((place) => options.keep(place));
  }

  /** Chooses for the first time, and goes on looking. Settles at once where there is nothing to choose. */
  async begin(signal: AbortSignal): Promise<void> {
    if (!this.#options.trackers || this.#given.length > 0) return;
    const { clock, log } = this.#options;
    await this.#look(signal).catch(() => {}); // the next look tells
    if (signal.aborted) return;
    this.#following = repeat({
      ...{ clock, everyMs: LOOK_MS },
      look: (signal) => this.#look(signal),
      onProblem: (error) => log.debug("No relays can be asked for", { error }),
    });
  }

  /** What a card says: those that are up, or may be soon. */
  get places(): readonly MeetingPlace[] {
    return this.links.map(({ place }) => place);
  }

  get links(): readonly KeptLink[] {
    return [...this.#given, ...this.#chosen.map(({ link }) => link)];
  }

  [Symbol.dispose](): void {
    this.#following?.[Symbol.dispose]();
    for (const link of this.links) link[Symbol.dispose]();
  }

  async #look(signal: AbortSignal): Promise<void> {
    const nowMs = this.#options.clock.now();
    for (const chosen of this.#chosen) chosen.downSinceMs = chosen.link.isUp ? undefined : chosen.downSinceMs ?? nowMs;
    const isLost = ({ downSinceMs = nowMs }: Chosen) => nowMs - downSinceMs >= DOWN_TOO_LONG_MS;
    const lost = this.#chosen.filter(isLost);
    if (this.#chosen.length - lost.length >= COUNT) return;
    const places = await this.#others(signal);
    if (signal.aborted) return;
    // One that is down is better than none: it stays until there is another.
    const wanted = places.slice(0, COUNT - (this.#chosen.length - lost.length));
    if (wanted.length === 0) return;
    for (const chosen of lost.slice(0, Math.max(0, this.#chosen.length + wanted.length - COUNT))) this.#letGo(chosen);
    for (const place of wanted) this.#chosen.push({ link: this.#options.keep(place), downSinceMs: undefined });
    this.#options.onChange();
  }

  #letGo(chosen: Chosen): void {
    this.#chosen.splice(this.#chosen.indexOf(chosen), 1);
    chosen.link[Symbol.dispose]();
  }

  /** Relays that are not chosen yet, in no order. */
  async #others(signal: AbortSignal): Promise<MeetingPlace[]> {
    const { trackers, random } = this.#options;
    const first = await trackers!.list({ capability: "relay" }, { signal });
    // Of many, those after some place: otherwise all peers would crowd at the few that are told first.
    const after = encodeBase32(random.fill(new Uint8Array(PEER_ID_BYTES)));
    const page = first.next === undefined ? first : await trackers!.list({ capability: "relay", after }, { signal });
    const { peers } = page.peers.length > COUNT ? page : first;
    const known = new Set(this.places.map(({ relayId }) => relayId));
    return peers.flatMap(({ card: { peerId, url } }) =>
      url === undefined || known.has(peerId) ? [] : [{ place: { relayId: peerId, url }, order: random.next() }]
    ).sort((a, b) => a.order - b.order).map(({ place }) => place);
  }
}
