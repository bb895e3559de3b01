/**
 * The peers that a tracker knows, in memory: at most 1 KiB each, of which two thirds are the card.
 *
 *   slot → card as text, address        strings
 *          seen, load, left, token      columns of numbers
 *   id → slot, in order                 `id_order.ts`
 *   region, capability → slots          `tags.ts`
 *   time → slots                        `expiry_wheel.ts`
 *
 * A card is kept as the JSON that is sent on, in ASCII, so that it takes one byte a character and a list is made without
 * looking into it. It begins with the peer's id, which is kept nowhere else. Times are of a clock that only goes forward.
 *
 * Not here: whether a card is genuine, and whose a token is (`token.ts`).
 */

import { encodeBase32 } from "../encoding.ts";
import { CulvertError } from "../errors.ts";
import type { PeerCard } from "../peers/card.ts";
import { type Random, randomInt } from "../random.ts";
import { ExpiryWheel } from "./expiry_wheel.ts";
import { IdOrder } from "./id_order.ts";
import { MAX_LISTED, type PeerFilter, type PeerQuery } from "./messages.ts";
import { type Tag, Tags } from "./tags.ts";
import { MARK_BYTES, SECRET_LENGTH } from "./token.ts";

/** What is known of a peer from when it registers. */
export interface PeerEntry {
  readonly peerId: string;
  /** `cardText(card)`. */
  readonly card: string;
  readonly region: string | undefined;
  readonly capabilities: readonly string[];
  /** Empty where it is not known. */
  readonly observedAddress: string;
  /** Of its token. */
  readonly mark: Uint8Array;
}

/** A peer as it is listed. */
export interface PeerView {
  readonly peerId: string;
  readonly card: string;
  readonly observedAddress: string;
  readonly seenMs: number;
  readonly load: number | undefined;
  readonly left: number | undefined;
}

/** A peer that is listed no longer. */
export interface GonePeer {
  readonly peerId: string;
  readonly region: string | undefined;
  readonly capabilities: readonly string[];
}

/** What came of a registration: the peer was not there, it was and its card was another, or the same. */
export type PutResult = "joined" | "changed" | "same";

export interface PeerTableOptions {
  /** A peer that is not heard of for so long is forgotten. */
  readonly ttlMs: number;
  readonly maxPeers: number;
  readonly nowMs: number;
}

/** The part of its time to live by which a peer may be forgotten late. */
const TICKS_PER_TTL = 64;
const FIRST_CAPACITY = 1024;
/** So many are sorted for a page; when more match, going through all in order finds a page's worth soon. */
const MAX_SORTED = 1024;
/** Peers that one page goes through: what does not match is cheap, and yet there is no end of it. */
const MAX_SCANNED = 65_536;
/** Attempts to find one at random before that is given up. */
const TRIES_PER_SAMPLE = 8;

const ID_AT = '{"peerId":"'.length;
const ID_LENGTH = 26;
const ID_BYTES = 16;

/** A card as the table keeps it: JSON in ASCII, beginning with the peer's id. */
export function cardText({ peerId, ...card }: PeerCard): string {
  const json = JSON.stringify({ peerId, ...card });
  return json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function idOfCard(card: string): string {
  return card.slice(ID_AT, ID_AT + ID_LENGTH);
}

export class PeerTable {
  readonly #options: PeerTableOptions;
  readonly #cards: (string | undefined)[] = [];
  readonly #addresses: string[] = [];
  readonly #free: number[] = [];
  readonly #order = new IdOrder((slot) => idOfCard(this.#cards[slot]!));
  readonly #tags = new Tags();
  readonly #wheel: ExpiryWheel;
  #capacity = 0;
  #seenMs = new Float64Array(0);
  /** NaN where nothing was said, as in `#left`. */
  #load = new Float32Array(0);
  #left = new Float64Array(0);
  #marks = new Uint8Array(0);
  /** Of tokens that were shown, as character codes; zeros where none was. */
  #secrets = new Uint8Array(0);
  #size = 0;

  constructor(options: PeerTableOptions) {
    this.#options = options;
    const tickMs = options.ttlMs / TICKS_PER_TTL;
    this.#wheel = new ExpiryWheel({ tickMs, ticks: 2 * TICKS_PER_TTL, nowMs: options.nowMs });
  }

  get size(): number {
    return this.#size;
  }

  /** How often `expire` has something to do. */
  get tickMs(): number {
    return this.#wheel.tickMs;
  }

  /** Throws `store_full` if there is no room for another. */
  put(entry: PeerEntry, seenMs: number): PutResult {
    const known = this.#order.find(entry.peerId);
    const slot = known ?? this.#take();
    const result = known === undefined ? "joined" : this.#cards[slot] === entry.card ? "same" : "changed";
    this.#cards[slot] = entry.card;
    this.#addresses[slot] = entry.observedAddress;
    if (known === undefined || !this.#isMarked(slot, entry.mark)) this.#secrets.fill(0, ...spanOf(slot, SECRET_LENGTH));
    this.#marks.set(entry.mark, slot * MARK_BYTES);
    this.#tags.set(slot, entry);
    if (known === undefined) {
      this.#load[slot] = this.#left[slot] = NaN;
      this.#seenMs[slot] = seenMs;
      this.#order.add(slot);
      this.#wheel.add(slot, seenMs + this.#options.ttlMs);
    }
    this.#seenMs[slot] = Math.max(seenMs, this.#seenMs[slot]!);
    return result;
  }

  /** The peer was heard of; false if it is not there. */
  touch(
    peerId: string,
    seenMs: number,
    { load, left }: { readonly load?: number | undefined; readonly left?: number | undefined } = {},
  ): boolean {
    const slot = this.#order.find(peerId);
    if (slot === undefined) return false;
    if (seenMs > this.#seenMs[slot]!) this.#seenMs[slot] = seenMs;
    if (load !== undefined) this.#load[slot] = load;
    if (left !== undefined) this.#left[slot] = left;
    return true;
  }

  /** Whether its token has that mark; undefined if the peer is not there. */
  hasMark(peerId: string, mark: Uint8Array): boolean | undefined {
    const slot = this.#order.find(peerId);
    return slot === undefined ? undefined : this.#isMarked(slot, mark);
  }

  /** Whether this is the token that the peer has shown; undefined if the peer is not there. */
  hasShown(peerId: string, token: string): boolean | undefined {
    const slot = this.#order.find(peerId);
    if (slot === undefined) return undefined;
    const from = token.length - SECRET_LENGTH;
    let difference = 0;
    for (let at = 0; at < SECRET_LENGTH; at++) {
      difference |= this.#secrets[slot * SECRET_LENGTH + at]! ^ token.charCodeAt(from + at);
    }
    return difference === 0;
  }

  /** The peer has shown its token, and `hasMark` has said that it is. */
  remember(peerId: string, token: string): void {
    const slot = this.#order.find(peerId);
    if (slot === undefined) return;
    const from = token.length - SECRET_LENGTH;
    for (let at = 0; at < SECRET_LENGTH; at++) {
      this.#secrets[slot * SECRET_LENGTH + at] = token.charCodeAt(from + at);
    }
  }

  /** Gives whom it has forgotten; undefined if the peer was not there. */
  delete(peerId: string): GonePeer | undefined {
    const slot = this.#order.find(peerId);
    if (slot === undefined) return undefined;
    this.#wheel.remove(slot);
    return this.#drop(slot);
  }

  /** Forgets those that were not heard of for their time to live. */
  expire(nowMs: number): GonePeer[] {
    const gone: GonePeer[] = [];
    const { ttlMs } = this.#options;
    this.#wheel.turn(nowMs, (slot) => {
      const endsMs = this.#seenMs[slot]! + ttlMs;
      if (endsMs > nowMs) this.#wheel.add(slot, endsMs);
      else gone.push(this.#drop(slot));
    });
    return gone;
  }

  find(peerId: string): PeerView | undefined {
    const slot = this.#order.find(peerId);
    return slot === undefined ? undefined : this.#view(slot);
  }

  count(filter: PeerFilter): number {
    let count = 0;
    for (const { slots } of this.#tags.matching(filter)) count += slots.size;
    return count;
  }

  /** Those that match, in the order of their ids; `next` where there may be more. */
  page({ limit = MAX_LISTED, after, ...filter }: PeerQuery): { readonly peers: PeerView[]; readonly next?: string } {
    const tags = isOpen(filter) ? undefined : this.#tags.matching(filter);
    const slots = tags && sum(tags) <= MAX_SORTED ? this.#sorted(tags, after) : this.#order.after(after);
    const peers: PeerView[] = [];
    let scanned = 0;
    let last = -1;
    for (const slot of slots) {
      if (peers.length === limit || scanned === MAX_SCANNED) return { peers, next: idOfCard(this.#cards[last]!) };
      last = slot;
      scanned++;
      if (!tags || tags.has(this.#tags.of(slot)!)) peers.push(this.#view(slot));
    }
    return { peers };
  }

  /** Some of them at random, none twice, and not the one who asks. */
  sample(count: number, random: Random, except?: string): PeerView[] {
    const asker = except === undefined ? undefined : this.#order.find(except);
    const wanted = Math.min(count, asker === undefined ? this.#size : this.#size - 1);
    const picked = new Set<number>();
    for (let turn = 0; turn < wanted * TRIES_PER_SAMPLE && picked.size < wanted; turn++) {
      const slot = randomInt(random, this.#cards.length);
      if (this.#cards[slot] !== undefined && slot !== asker) picked.add(slot);
    }
    // Most slots may be empty since others have left: then those who follow a place in the order that nobody can foresee.
    const from = encodeBase32(random.fill(new Uint8Array(ID_BYTES)));
    for (const slots of [this.#order.after(from), this.#order.after()]) {
      for (const slot of slots) {
        if (picked.size >= wanted) break;
        if (slot !== asker) picked.add(slot);
      }
    }
    return [...picked].map((slot) => this.#view(slot));
  }

  #isMarked(slot: number, mark: Uint8Array): boolean {
    let difference = 0;
    for (let at = 0; at < MARK_BYTES; at++) difference |= this.#marks[slot * MARK_BYTES + at]! ^ mark[at]!;
    return difference === 0;
  }

  #sorted(tags: ReadonlySet<Tag>, after: string | undefined): number[] {
    const found: { readonly slot: number; readonly id: string }[] = [];
    for (const { slots } of tags) {
      for (const slot of slots) {
        const id = idOfCard(this.#cards[slot]!);
        if (after === undefined || id > after) found.push({ slot, id });
      }
    }
    return found.sort((a, b) => a.id < b.id ? -1 : 1).map(({ slot }) => slot);
  }

  #view(slot: number): PeerView {
    const card = this.#cards[slot]!;
    const [load, left] = [this.#load[slot]!, this.#left[slot]!];
    return {
      peerId: idOfCard(card),
      card,
      observedAddress: this.#addresses[slot]!,
      seenMs: this.#seenMs[slot]!,
      load: Number.isNaN(load) ? undefined : Math.round(load * 1000) / 1000,
      left: Number.isNaN(left) ? undefined : left,
    };
  }

  #take(): number {
    const { maxPeers } = this.#options;
    if (this.#size >= maxPeers) {
      throw new CulvertError("store_full", `Cannot list another peer: there must be at most ${maxPeers}`);
    }
    this.#size++;
    const slot = this.#free.pop() ?? this.#size - 1;
    if (slot >= this.#capacity) this.#grow();
    return slot;
  }

  #drop(slot: number): GonePeer {
    const { region, capabilities = [] } = this.#tags.of(slot) ?? {};
    const gone = { peerId: idOfCard(this.#cards[slot]!), region, capabilities };
    this.#order.remove(slot);
    this.#tags.delete(slot);
    this.#cards[slot] = undefined;
    this.#addresses[slot] = "";
    this.#free.push(slot);
    this.#size--;
    return gone;
  }

  #grow(): void {
    const capacity = this.#capacity = Math.max(FIRST_CAPACITY, Math.ceil(this.#capacity * 1.5));
    this.#order.grow(capacity);
    this.#wheel.grow(capacity);
    this.#seenMs = grown(this.#seenMs, new Float64Array(capacity));
    this.#load = grown(this.#load, new Float32Array(capacity));
    this.#left = grown(this.#left, new Float64Array(capacity));
    this.#secrets = grown(this.#secrets, new Uint8Array(capacity * SECRET_LENGTH));
    this.#marks = grown(this.#marks, new Uint8Array(capacity * MARK_BYTES));
  }
}

/** Where the slot's part of a column of so many each begins and ends. */
function spanOf(slot: number, each: number): [number, number] {
  return [slot * each, (slot + 1) * each];
}

function grown<A extends Float32Array | Float64Array | Uint8Array>(from: A, to: A): A {
  to.set(from);
  return to;
}

function isOpen({ capability, region }: PeerFilter): boolean {
  return capability === undefined && region === undefined;
}

function sum(tags: ReadonlySet<Tag>): number {
  let count = 0;
  for (const { slots } of tags) count += slots.size;
  return count;
}
