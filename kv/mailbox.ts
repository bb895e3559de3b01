/**
 * Mailboxes that several processes of one downstream serve together: who listens where, and what is on its way from the
 * process that central has posted to, to the one that the client listens at.
 *
 *   <space> "listener" alias           { place, expiresAtMs }         the newest listener
 *   <space> "inbox" place time number  { alias, bytes, expiresAtMs }  what waits for that process
 *   <space> "inbox_bell" place         true, written with whatever is put there
 *
 * A place is the name that a process has drawn for itself. A listener says again and again that it is there; what one
 * leaves behind is forgotten. `post` puts no more before a place than it has shown to take, so that a process that is
 * gone costs a bounded amount.
 */

import type { Clock } from "../protocol/clock.ts";
import { storedListenerSchema, storedPostSchema } from "../protocol/stored_records.ts";
import { commitAll, commitIf, MAX_COMMIT_BYTES, type Mutation } from "./commit.ts";
import { Doorbell } from "./doorbell.ts";
import { ExpiringMap } from "./expiring_map.ts";
import { type KvSpace, readMany, readVersion } from "./records.ts";
import { inStore } from "./store_error.ts";
import { watchKey } from "./watch.ts";

/** The most bytes that one post may have. Deno KV takes 64 KiB, with what frames them. */
export const MAX_POST_BYTES = 60 * 1024;
/** How long a listener counts unless it says again that it is there. */
export const LISTENER_EXPIRY_MS = 30_000;

/** Something for the listener of an alias. */
export interface Post {
  /** In hex. */
  readonly alias: string;
  /** At most `MAX_POST_BYTES`. */
  readonly bytes: Uint8Array;
}

export interface MailboxStore {
  /** Says that the listener is here, and gives where another was, if one was and not here. */
  claim(alias: string, place: string): Promise<string | undefined>;
  /** Says that it is no longer here; nothing if it is elsewhere by now. */
  release(alias: string, place: string): Promise<void>;
  /** Where the listeners are, in the order of the aliases; undefined for those that have none. */
  whereAre(aliases: readonly string[]): Promise<(string | undefined)[]>;
  /** Puts posts before a place, in their order; false, and nothing is put there, when it has too many already. */
  post(place: string, posts: readonly Post[]): Promise<boolean>;
  /** Takes what is put before a place, as it comes, until the signal aborts. One follows a place at a time. */
  follow(place: string, signal: AbortSignal): AsyncIterable<readonly Post[]>;
}

/** What has been put before a place and was not seen to be taken. */
const MAX_OUTSTANDING_BYTES = 2 * 1024 * 1024;
const POST_KEPT_MS = 30_000;

export interface MailboxStoreOptions extends KvSpace {
  /** Sets apart what several processes put before one place in the same millisecond: drawn at random. */
  readonly writer: string;
  /** How often a place is looked at where the store does not tell of the writes of others. Default 20 ms. */
  readonly pollMs?: number;
}

/** Mailboxes of processes that are all this one: for tests, and for a downstream that is alone. */
export function createMemoryMailboxes(clock: Clock): MailboxStore {
  return new MemoryMailboxes(clock);
}

class MemoryMailboxes implements MailboxStore {
  readonly #listeners: ExpiringMap<string>;
  readonly #inboxes = new Map<string, { posts: Post[]; bytes: number; readonly bell: Doorbell }>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#listeners = new ExpiringMap(clock, { what: "listeners" });
  }

  claim(alias: string, place: string): Promise<string | undefined> {
    return inStore("claim a mailbox", () => {
      const before = this.#listeners.get(alias);
      this.#listeners.set(alias, place, this.#clock.wallNow() + LISTENER_EXPIRY_MS);
      return Promise.resolve(before === place ? undefined : before);
    });
  }

  release(alias: string, place: string): Promise<void> {
    if (this.#listeners.get(alias) === place) this.#listeners.delete(alias);
    return Promise.resolve();
  }

  whereAre(aliases: readonly string[]): Promise<(string | undefined)[]> {
    return Promise.resolve(aliases.map((alias) => this.#listeners.get(alias)));
  }

  post(place: string, posts: readonly Post[]): Promise<boolean> {
    const inbox = this.#inboxOf(place);
    const bytes = weigh(posts);
    if (inbox.bytes + bytes > MAX_OUTSTANDING_BYTES) return Promise.resolve(false);
    for (const { alias, bytes } of posts) inbox.posts.push({ alias, bytes: bytes.slice() });
    inbox.bytes += bytes;
    inbox.bell.ring();
    return Promise.resolve(true);
  }

  async *follow(place: string, signal: AbortSignal): AsyncGenerator<readonly Post[]> {
    const inbox = this.#inboxOf(place);
    while (!signal.aborted) {
      const { posts } = inbox;
      inbox.posts = [];
      inbox.bytes = 0;
      if (posts.length > 0) yield posts;
      else await inbox.bell.wait(signal);
    }
  }

  #inboxOf(place: string): { posts: Post[]; bytes: number; readonly bell: Doorbell } {
    const inbox = this.#inboxes.get(place) ?? { posts: [], bytes: 0, bell: new Doorbell() };
    this.#inboxes.set(place, inbox);
    return inbox;
  }
}

/** Mailboxes in Deno KV. */
export function createKvMailboxes(kv: Deno.Kv, clock: Clock, options: MailboxStoreOptions): MailboxStore {
  return new KvMailboxes(kv, clock, options);
}

/** What was put before a place, the oldest first. */
interface Outstanding {
  readonly key: Deno.KvKey;
  readonly bytes: number;
}

class KvMailboxes implements MailboxStore {
  readonly #kv: Deno.Kv;
  readonly #clock: Clock;
  readonly #options: MailboxStoreOptions;
  readonly #outstanding = new Map<string, Outstanding[]>();
  #number = 0;

  constructor(kv: Deno.Kv, clock: Clock, options: MailboxStoreOptions) {
    this.#kv = kv;
    this.#clock = clock;
    this.#options = options;
  }

  async claim(alias: string, place: string): Promise<string | undefined> {
    const key = this.#listenerKey(alias);
    const before = await this.#listenerAt(key);
    const value = { place, expiresAtMs: this.#clock.wallNow() + LISTENER_EXPIRY_MS };
    await commitAll(this.#store, "claim a mailbox", [{ key, value, expireInMs: LISTENER_EXPIRY_MS }]);
    return before.place === place ? undefined : before.place;
  }

  async release(alias: string, place: string): Promise<void> {
    const key = this.#listenerKey(alias);
    const { place: now, versionstamp } = await this.#listenerAt(key);
    if (now !== place) return;
    await commitIf(this.#store, "release a mailbox", { checks: [{ key, versionstamp }], mutations: [{ key }] });
  }

  async whereAre(aliases: readonly string[]): Promise<(string | undefined)[]> {
    const keys = aliases.map((alias) => this.#listenerKey(alias));
    const found = await readMany(this.#kv, "look for listeners", { keys, schema: storedListenerSchema });
    const nowMs = this.#clock.wallNow();
    return found.map((listener) => listener && listener.expiresAtMs > nowMs ? listener.place : undefined);
  }

  async post(place: string, posts: readonly Post[]): Promise<boolean> {
    const outstanding = this.#outstanding.get(place) ?? [];
    this.#outstanding.set(place, outstanding);
    if (!await this.#hasRoom(outstanding, weigh(posts))) return false;
    const nowMs = this.#clock.wallNow();
    const bell: Mutation = { key: [this.#options.space, "inbox_bell", place], value: true, expireInMs: POST_KEPT_MS };
    for (const part of partsOf(posts)) {
      const mutations = part.map(({ alias, bytes }): Mutation => {
        const key = [this.#options.space, "inbox", place, nowMs, this.#number++, this.#options.writer];
        outstanding.push({ key, bytes: bytes.length });
        const value = { alias, bytes, expiresAtMs: nowMs + POST_KEPT_MS };
        return { key, value, expireInMs: POST_KEPT_MS };
      });
      await commitAll(this.#store, "post to another process", [...mutations, bell]);
    }
    return true;
  }

  async *follow(place: string, signal: AbortSignal): AsyncGenerator<readonly Post[]> {
    const { space, pollMs = 20 } = this.#options;
    const key = [space, "inbox_bell", place];
    const looks = watchKey(this.#kv, key, { read: () => this.#take(place), clock: this.#clock, signal, pollMs });
    for await (const posts of looks) if (posts.length > 0) yield posts;
  }

  get #store(): { readonly kv: Deno.Kv; readonly clock: Clock } & Pick<KvSpace, "guard"> {
    return { kv: this.#kv, clock: this.#clock, guard: this.#options.guard };
  }

  #listenerKey(alias: string): Deno.KvKey {
    return [this.#options.space, "listener", alias];
  }

  async #listenerAt(key: Deno.KvKey): Promise<{ place: string | undefined; versionstamp: string | null }> {
    const { record, versionstamp } = await readVersion(this.#kv, "look for a listener", {
      key,
      schema: storedListenerSchema,
    });
    const isLive = record !== undefined && record.expiresAtMs > this.#clock.wallNow();
    return { place: isLive ? record.place : undefined, versionstamp };
  }

  /** Whatever is still there of the oldest has not been taken, nor what came after it. */
  async #hasRoom(outstanding: Outstanding[], bytes: number): Promise<boolean> {
    const isFull = () => weigh(outstanding.map(({ bytes }) => ({ bytes }))) + bytes > MAX_OUTSTANDING_BYTES;
    while (outstanding.length > 0 && isFull()) {
      const oldest = outstanding.slice(0, 10);
      const entries = await inStore("look at an inbox", () => this.#kv.getMany(oldest.map(({ key }) => key)));
      const left = entries.findIndex(({ versionstamp }) => versionstamp !== null);
      outstanding.splice(0, left === -1 ? oldest.length : left);
      if (left === 0) return false;
    }
    return true;
  }

  async #take(place: string): Promise<Post[]> {
    const posts: Post[] = [];
    const taken: Mutation[] = [];
    const nowMs = this.#clock.wallNow();
    await inStore("read an inbox", async () => {
      for await (const { key, value } of this.#kv.list({ prefix: [this.#options.space, "inbox", place] })) {
        taken.push({ key });
        const { data } = storedPostSchema.safeParse(value);
        if (data && data.expiresAtMs > nowMs) posts.push({ alias: data.alias, bytes: data.bytes });
      }
    });
    if (taken.length > 0) await commitAll(this.#store, "empty an inbox", taken);
    return posts;
  }
}

function weigh(posts: readonly { readonly bytes: Uint8Array | number }[]): number {
  return posts.reduce((sum, { bytes }) => sum + (typeof bytes === "number" ? bytes : bytes.length), 0);
}

/** Runs of posts that one commit takes, with the bell. */
function* partsOf(posts: readonly Post[]): Generator<readonly Post[]> {
  let part: Post[] = [];
  let bytes = 0;
  for (const post of posts) {
    if (part.length > 0 && bytes + post.bytes.length > MAX_COMMIT_BYTES / 2) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(post);
    bytes += post.bytes.length;
  }
  if (part.length > 0) yield part;
}
