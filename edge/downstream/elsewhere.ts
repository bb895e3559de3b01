/**
 * The other processes of one downstream: a client may listen at one while central posts to another. They share a store
 * (`kv/mailbox.ts`) and nothing else.
 *
 *   listener here        said in the store now and every ten seconds; what others post for it is followed meanwhile
 *   listener elsewhere   looked for while something waits: every 25 ms at first, then twice a second
 *   newest wins          whoever claims tells the place where a listener was, which gives up what it holds
 *
 * A post is `kind u8 | rest`, as the client gets it, or `0 | place`: the listener is there now.
 */

import { type Clock, delay, type Timer } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import { MessageKind, readFragments } from "../../protocol/fragment/messages.ts";
import type { Log } from "../../protocol/log.ts";
import type { MailboxStore, Post } from "../../kv/mailbox.ts";

export interface ElsewhereOptions {
  readonly store: MailboxStore;
  /** What this process calls itself. */
  readonly place: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Something has come for a listener here. */
  onPost(alias: string, kind: number, rest: Uint8Array): void;
  /** The listener that was here is there now. */
  onMoved(alias: string, place: string): void;
  /** The listener that was looked for is there, or nowhere. */
  onPlace(alias: string, place: string | undefined): void;
  /** So much could not be posted. */
  onDropped(alias: string, bytes: number): void;
}

/** From `kv/mailbox.ts`: a post has at most 60 KiB, and no listener counts longer than 30 s. */
const MAX_REST_BYTES = 60 * 1024 - 1;
const CLAIM_EVERY_MS = 10_000;
const LOOK_MS = 25;
/** Those who have not come by then are looked for less often. */
const SOON_MS = 3000;
const LATER_LOOK_MS = 500;
const MAX_LOOKED_FOR = 1000;
const MAX_OUTBOX_BYTES = 1024 * 1024;
const MOVED = 0;

interface Outbox {
  posts: Post[];
  bytes: number;
}

export class Elsewhere implements AsyncDisposable {
  readonly #options: ElsewhereOptions;
  readonly #claimed = new Set<string>();
  /** Whom we look for, and since when. */
  readonly #lookedFor = new Map<string, number>();
  readonly #outboxes = new Map<string, Outbox>();
  readonly #closing = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  #following: AbortController | undefined;
  #isLooking = false;
  #claiming: Timer | undefined;
  #problem: string | undefined;

  constructor(options: ElsewhereOptions) {
    this.#options = options;
  }

  /** Why the others cannot be heard of, if so. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** A listener is here. */
  claim(alias: string): void {
    if (this.#closing.signal.aborted) return;
    this.#lookedFor.delete(alias);
    this.#claimed.add(alias);
    if (!this.#following) this.#follow();
    this.#claiming ??= this.#options.clock.after(CLAIM_EVERY_MS, () => this.#claimAgain());
    this.#spawn(this.#claim(alias));
  }

  /** It has gone. */
  release(alias: string): void {
    if (!this.#claimed.delete(alias)) return;
    const { store, place } = this.#options;
    this.#spawn(store.release(alias, place));
    if (this.#claimed.size > 0) return;
    this.#following?.abort();
    this.#following = undefined;
  }

  /** Something waits for a listener that is not here. */
  lookFor(alias: string): void {
    if (this.#lookedFor.has(alias) || this.#lookedFor.size >= MAX_LOOKED_FOR || this.#closing.signal.aborted) return;
    this.#lookedFor.set(alias, this.#options.clock.now());
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#spawn(this.#look().finally(() => this.#isLooking = false));
  }

  /** Nothing waits for it any more. */
  forget(alias: string): void {
    this.#lookedFor.delete(alias);
  }

  /** Sends something to the listener of that process. */
  post(place: string, alias: string, message: { readonly kind: number; readonly rest: Uint8Array }): void {
    for (const rest of piecesOf(message.kind, message.rest)) this.#put(place, postOf(alias, message.kind, rest));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#claiming?.cancel();
    for (const alias of [...this.#claimed]) this.release(alias);
    this.#closing.abort();
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  async #claim(alias: string): Promise<void> {
    const { store, place } = this.#options;
    const before = await store.claim(alias, place);
    if (before === undefined || !this.#claimed.has(alias)) return;
    this.#put(before, postOf(alias, MOVED, new TextEncoder().encode(place)));
  }

  #claimAgain(): void {
    this.#claiming = undefined;
    if (this.#claimed.size === 0) return;
    this.#claiming = this.#options.clock.after(CLAIM_EVERY_MS, () => this.#claimAgain());
    const { store, place } = this.#options;
    // Whoever has claimed it since keeps it.
    const again = async (alias: string) => {
      const [now] = await store.whereAre([alias]);
      if (now === undefined || now === place) await store.claim(alias, place);
      else if (this.#claimed.delete(alias)) this.#options.onMoved(alias, now);
    };
    for (const alias of this.#claimed) this.#spawn(again(alias));
  }

  #follow(): void {
    const following = this.#following = new AbortController();
    const { store, place } = this.#options;
    const follow = async () => {
      for await (const posts of store.follow(place, following.signal)) for (const post of posts) this.#take(post);
    };
    this.#spawn(follow());
  }

  #take({ alias, bytes }: Post): void {
    const [kind = MOVED] = bytes;
    const rest = bytes.subarray(1);
    if (kind !== MOVED) return this.#options.onPost(alias, kind, rest);
    this.#claimed.delete(alias);
    this.#options.onMoved(alias, new TextDecoder().decode(rest));
  }

  async #look(): Promise<void> {
    const { store, place, clock, onPlace } = this.#options;
    const { signal } = this.#closing;
    while (this.#lookedFor.size > 0 && !signal.aborted) {
      const nowMs = clock.now();
      const aliases = [...this.#lookedFor.keys()];
      const places = await store.whereAre(aliases);
      let isAnyNew = false;
      aliases.forEach((alias, index) => {
        const sinceMs = this.#lookedFor.get(alias);
        if (sinceMs === undefined) return;
        const found = places[index];
        isAnyNew ||= found === undefined && nowMs - sinceMs < SOON_MS;
        if (found !== undefined) this.#lookedFor.delete(alias);
        if (found !== place) onPlace(alias, found);
      });
      if (this.#lookedFor.size > 0) await delay(clock, isAnyNew ? LOOK_MS : LATER_LOOK_MS, signal).catch(() => {});
    }
  }

  #put(place: string, post: Post): void {
    const outbox = this.#outboxes.get(place);
    if (outbox) return this.#add(outbox, post);
    const fresh: Outbox = { posts: [], bytes: 0 };
    this.#outboxes.set(place, fresh);
    this.#add(fresh, post);
    this.#spawn(this.#send(place, fresh).finally(() => this.#outboxes.delete(place)));
  }

  #add(outbox: Outbox, post: Post): void {
    if (outbox.bytes + post.bytes.length > MAX_OUTBOX_BYTES) {
      return this.#options.onDropped(post.alias, post.bytes.length);
    }
    outbox.posts.push(post);
    outbox.bytes += post.bytes.length;
  }

  async #send(place: string, outbox: Outbox): Promise<void> {
    await Promise.resolve(); // what comes in the same turn goes along
    while (outbox.posts.length > 0) {
      const { posts } = outbox;
      outbox.posts = [];
      outbox.bytes = 0;
      if (await this.#options.store.post(place, posts)) continue;
      for (const { alias, bytes } of posts) this.#options.onDropped(alias, bytes.length);
    }
  }

  #spawn(task: Promise<void>): void {
    const { log } = this.#options;
    const settled = task.then(() => this.#problem = undefined, (error) => {
      const problem = messageOf(error);
      if (problem !== this.#problem) log.warn("The other processes cannot be heard of", { error: problem });
      this.#problem = problem;
    }).then(() => void this.#tasks.delete(settled));
    this.#tasks.add(settled);
  }
}

function postOf(alias: string, kind: number, rest: Uint8Array): Post {
  const bytes = new Uint8Array(1 + rest.length);
  bytes[0] = kind;
  bytes.set(rest, 1);
  return { alias, bytes };
}

/** Runs of fragments that one post takes; nothing of what cannot be cut. */
function* piecesOf(kind: number, rest: Uint8Array): Generator<Uint8Array> {
  if (rest.length <= MAX_REST_BYTES) return void (yield rest);
  const ends: number[] = [0];
  if (kind !== MessageKind.DATA || !readFragments(rest, ({ length }) => ends.push(ends.at(-1)! + 2 + length))) return;
  let start = 0;
  for (let index = 1; index < ends.length; index++) {
    const isLast = index === ends.length - 1;
    if (!isLast && ends[index + 1]! - start <= MAX_REST_BYTES) continue;
    yield rest.subarray(start, ends[index]);
    start = ends[index]!;
  }
}
