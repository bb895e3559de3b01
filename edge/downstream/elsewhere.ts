/**
 * The other processes of one downstream: a client may listen at one while central posts to another. They share a store
 * (`kv/mailbox.ts`) and nothing else.
 *
 *   listener here        said in the store now and every few seconds; what others post for it is heard of meanwhile
 *   listener elsewhere   looked for while something waits: every 25 ms at first, then twice a second
 *   newest wins          whoever sees that the listener is at another process by now gives up its own
 *
 * What is posted is `kind u8 | rest`, as the client gets it.
 */

import { type MailboxStore, MAX_MAIL_BYTES } from "../../kv/mailbox.ts";
import { type Clock, delay, type Timer } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import { MessageKind, readFragments } from "../../protocol/fragment/messages.ts";
import type { Log } from "../../protocol/log.ts";

export interface ElsewhereOptions {
  readonly store: MailboxStore;
  /** What this process calls itself. */
  readonly place: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Something has come for a listener here. */
  onPost(alias: string, kind: number, rest: Uint8Array): void;
  /** The listener that was here is at another process now. */
  onMoved(alias: string): void;
  /** Whether the listener that was looked for is at another process; looking goes on until it is, or `forget`. */
  onPlace(alias: string, isElsewhere: boolean): void;
  /** So much could not be posted. */
  onDropped(alias: string, bytes: number): void;
}

const MAX_REST_BYTES = MAX_MAIL_BYTES - 1;
/** A listener counts for 30 s (`kv/mailbox.ts`). */
const CLAIM_EVERY_MS = 5_000;
const LOOK_MS = 25;
/** Those who have not come by then are looked for less often. */
const SOON_MS = 3000;
const LATER_LOOK_MS = 500;
const MAX_LOOKED_FOR = 1000;
/** What may wait for the store, for all listeners elsewhere. */
const MAX_OUTBOX_BYTES = 4 * 1024 * 1024;

export class Elsewhere implements AsyncDisposable {
  readonly #options: ElsewhereOptions;
  readonly #claimed = new Set<string>();
  /** Whom we look for, and since when. */
  readonly #lookedFor = new Map<string, number>();
  /** What waits for the store, by alias. */
  readonly #outboxes = new Map<string, Uint8Array[]>();
  #outboxBytes = 0;
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
    const { store, place } = this.#options;
    if (this.#disclaim(alias)) this.#spawn(store.leave(alias, place));
  }

  /** Something waits for a listener that is not here. */
  lookFor(alias: string): void {
    if (this.#lookedFor.has(alias) || this.#lookedFor.size >= MAX_LOOKED_FOR || this.#closing.signal.aborted) return;
    this.#lookedFor.set(alias, this.#options.clock.now());
    if (!this.#isLooking) this.#spawn(this.#look());
  }

  /** Nothing waits for it any more. */
  forget(alias: string): void {
    this.#lookedFor.delete(alias);
  }

  /** Sends something to the listener, wherever else it is. */
  post(alias: string, kind: number, rest: Uint8Array): void {
    for (const piece of piecesOf(kind, rest)) this.#put(alias, joined(kind, piece));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#claiming?.cancel();
    for (const alias of [...this.#claimed]) this.release(alias);
    this.#closing.abort();
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  /** Whether there was a listener here. Nothing is followed for none. */
  #disclaim(alias: string): boolean {
    const wasHere = this.#claimed.delete(alias);
    if (this.#claimed.size > 0) return wasHere;
    this.#following?.abort();
    this.#following = undefined;
    return wasHere;
  }

  async #claim(alias: string): Promise<void> {
    const { store, place } = this.#options;
    await store.listen(alias, place);
    await this.#take(alias);
  }

  #claimAgain(): void {
    this.#claiming = undefined;
    if (this.#claimed.size === 0) return;
    const next = () => {
      if (this.#closing.signal.aborted) return;
      this.#claiming ??= this.#options.clock.after(CLAIM_EVERY_MS, () => this.#claimAgain());
    };
    this.#spawn(this.#listenOn([...this.#claimed]).finally(next));
  }

  async #listenOn(aliases: readonly string[]): Promise<void> {
    const { store, place, onMoved } = this.#options;
    // Whoever has listened since elsewhere is the listener.
    for (const alias of await store.listenOn(aliases, place)) if (this.#disclaim(alias)) onMoved(alias);
    // One that went meanwhile may have been said to be here after all.
    for (const alias of aliases) if (!this.#claimed.has(alias)) await store.leave(alias, place);
  }

  #follow(): void {
    const following = this.#following = new AbortController();
    const { store, place } = this.#options;
    const follow = async () => {
      for await (const aliases of store.posted(place, following.signal)) {
        for (const alias of aliases) await this.#take(alias);
      }
    };
    this.#spawn(follow());
  }

  async #take(alias: string): Promise<void> {
    if (!this.#claimed.has(alias)) return;
    for (const message of await this.#options.store.take(alias)) {
      if (message.length > 0) this.#options.onPost(alias, message[0]!, message.subarray(1));
    }
  }

  async #look(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#closing;
    this.#isLooking = true;
    while (this.#lookedFor.size > 0 && !signal.aborted) {
      const isAnyNew = await this.#lookOnce().catch((error) => this.#complain(error));
      if (this.#lookedFor.size > 0) await delay(clock, isAnyNew ? LOOK_MS : LATER_LOOK_MS, signal).catch(() => {});
    }
    this.#isLooking = false; // at once, or what is asked for before somebody hears of the end would not be looked for
  }

  /** Whether anybody has not been looked for long. */
  async #lookOnce(): Promise<boolean> {
    const { store, place, clock, onPlace } = this.#options;
    const nowMs = clock.now();
    const aliases = [...this.#lookedFor.keys()];
    const places = await Promise.all(aliases.map((alias) => store.whereIs(alias)));
    this.#problem = undefined;
    let isAnyNew = false;
    aliases.forEach((alias, index) => {
      const sinceMs = this.#lookedFor.get(alias);
      if (sinceMs === undefined) return;
      isAnyNew ||= nowMs - sinceMs < SOON_MS;
      const isElsewhere = places[index] !== undefined && places[index] !== place;
      if (isElsewhere) this.#lookedFor.delete(alias);
      onPlace(alias, isElsewhere);
    });
    return isAnyNew;
  }

  #put(alias: string, message: Uint8Array): void {
    if (this.#outboxBytes + message.length > MAX_OUTBOX_BYTES) {
      return this.#options.onDropped(alias, message.length);
    }
    this.#outboxBytes += message.length;
    const outbox = this.#outboxes.get(alias);
    if (outbox) return void outbox.push(message);
    this.#outboxes.set(alias, [message]);
    this.#spawn(this.#send(alias));
  }

  async #send(alias: string): Promise<void> {
    await Promise.resolve(); // what comes in the same turn goes along
    for (let messages = this.#outboxes.get(alias)!; messages.length > 0; messages = this.#outboxes.get(alias)!) {
      this.#outboxes.set(alias, []);
      const bytes = messages.reduce((sum, { length }) => sum + length, 0);
      this.#outboxBytes -= bytes;
      if (!await this.#options.store.post(alias, messages).catch(() => false)) this.#options.onDropped(alias, bytes);
    }
    this.#outboxes.delete(alias);
  }

  #spawn(task: Promise<void>): void {
    const settled = task.then(() => this.#problem = undefined, (error) => this.#complain(error))
      .then(() => void this.#tasks.delete(settled));
    this.#tasks.add(settled);
  }

  #complain(error: unknown): void {
    const problem = messageOf(error);
    if (problem !== this.#problem) this.#options.log.warn("The other processes cannot be heard of", { error: problem });
    this.#problem = problem;
  }
}

function joined(kind: number, rest: Uint8Array): Uint8Array {
  const message = new Uint8Array(1 + rest.length);
  message[0] = kind;
  message.set(rest, 1);
  return message;
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
