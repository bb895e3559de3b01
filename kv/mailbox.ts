/**
 * What several processes of one downstream share: where the listener of an alias is, and what was posted to a process that
 * has not got it. Within one process nothing of this is needed but the waiting for a listener.
 *
 *   <space> "listener" alias            { processId, expiresAtMs }
 *   <space> "mail" alias n              { message, expiresAtMs }
 *   <space> "mail_room" alias           { bytes, next, expiresAtMs }   what lies there, so that it stays bounded and in order
 *   <space> "rung" processId alias      { expiresAtMs }                something was posted for a listener of this process
 *   <space> "bell" processId            changes with each of those
 *
 * A process hears its bell at once on Deno Deploy's KV or a denokv; on a SQLite file it looks every `LOOK_MS`. What does
 * not fit any more is dropped: above it, losses are repaired. Everything here expires.
 */

import type { Clock } from "../protocol/clock.ts";
import { isLive } from "../protocol/directory.ts";
import {
  type StoredListener,
  storedListenerSchema,
  storedMailRoomSchema,
  storedMailSchema,
} from "../protocol/stored_records.ts";
import { commitAll, commitIf, type Mutation, untilCommitted, type Writable } from "./commit.ts";
import { Doorbell } from "./doorbell.ts";
import { type KvSpace, readOne, readVersion } from "./records.ts";
import { inStore } from "./store_error.ts";
import { watchKey } from "./watch.ts";

/** With its time a message must fit a value of Deno KV. */
export const MAX_MAIL_BYTES = 60_000;
/** What one alias may have lying here: more than the least that a leg has in flight, or each burst would lose its end. */
export const MAX_MAILBOX_BYTES = 256 * 1024;
/** How long mail lies, and a listener counts without saying so again. */
export const MAIL_EXPIRY_MS = 30_000;
/** Of one commit (`commit.ts`). */
const MAX_CHECKS = 9;
/** How late another process on the same SQLite file is heard. */
const LOOK_MS = 20;

export interface MailboxStore {
  /** The listener of the alias is at this process, for `MAIL_EXPIRY_MS`; the newest word counts. */
  listen(alias: string, processId: string): Promise<void>;
  /** The listeners of these are still at this process; gives those that are at another by now, of which nothing is said. */
  listenOn(aliases: readonly string[], processId: string): Promise<readonly string[]>;
  /** It has gone, unless another process has said since that it is there. */
  leave(alias: string, processId: string): Promise<void>;
  /** The process where it is, if it is anywhere. */
  whereIs(alias: string): Promise<string | undefined>;
  /** Leaves messages, each of at most `MAX_MAIL_BYTES`. False when they do not fit, and then none is kept. */
  post(alias: string, messages: readonly Uint8Array[]): Promise<boolean>;
  /** What lies there, in order; it is there no more. */
  take(alias: string): Promise<Uint8Array[]>;
  /** Gives the aliases with something new for listeners of this process, until the signal aborts. */
  posted(processId: string, signal: AbortSignal): AsyncGenerator<readonly string[]>;
}

interface Mailbox {
  listener?: StoredListener | undefined;
  messages: Uint8Array[];
  bytes: number;
  expiresAtMs: number;
}

/** Mailboxes of one process. */
export function createMemoryMailboxes(clock: Clock): MailboxStore {
  return new MemoryMailboxes(clock);
}

const SWEEP_EVERY_MS = 5_000;

class MemoryMailboxes implements MailboxStore {
  readonly #clock: Clock;
  readonly #boxes = new Map<string, Mailbox>();
  readonly #bells = new Map<string, { bell: Doorbell; rung: Set<string> }>();
  #sweptAtMs = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  listen(alias: string, processId: string): Promise<void> {
    const box = this.#boxOf(alias);
    box.listener = { processId, expiresAtMs: box.expiresAtMs };
    return Promise.resolve();
  }

  async listenOn(aliases: readonly string[], processId: string): Promise<readonly string[]> {
    const moved: string[] = [];
    for (const alias of aliases) {
      const at = await this.whereIs(alias);
      if (at === undefined || at === processId) await this.listen(alias, processId);
      else moved.push(alias);
    }
    return moved;
  }

  leave(alias: string, processId: string): Promise<void> {
    const box = this.#find(alias);
    if (box?.listener?.processId === processId) box.listener = undefined;
    return Promise.resolve();
  }

  whereIs(alias: string): Promise<string | undefined> {
    const listener = this.#find(alias)?.listener;
    return Promise.resolve(listener && isLive(listener, this.#clock.wallNow()) ? listener.processId : undefined);
  }

  async post(alias: string, messages: readonly Uint8Array[]): Promise<boolean> {
    const box = this.#boxOf(alias);
    const bytes = weigh(messages);
    if (box.bytes + bytes > MAX_MAILBOX_BYTES) return false;
    for (const message of messages) box.messages.push(message.slice());
    box.bytes += bytes;
    const bell = this.#bells.get(await this.whereIs(alias) ?? "");
    bell?.rung.add(alias);
    bell?.bell.ring();
    return true;
  }

  take(alias: string): Promise<Uint8Array[]> {
    const box = this.#find(alias);
    const messages = box?.messages ?? [];
    if (box) [box.messages, box.bytes] = [[], 0];
    return Promise.resolve(messages);
  }

  async *posted(processId: string, signal: AbortSignal): AsyncGenerator<readonly string[]> {
    const mine = { bell: new Doorbell(), rung: new Set<string>() };
    this.#bells.set(processId, mine);
    while (!signal.aborted) {
      await mine.bell.wait(signal);
      if (mine.rung.size === 0) continue;
      const aliases = [...mine.rung];
      mine.rung.clear();
      yield aliases;
    }
    if (this.#bells.get(processId) === mine) this.#bells.delete(processId);
  }

  #find(alias: string): Mailbox | undefined {
    const box = this.#boxes.get(alias);
    if (box && !isLive(box, this.#clock.wallNow())) {
      this.#boxes.delete(alias);
      return undefined;
    }
    return box;
  }

  #boxOf(alias: string): Mailbox {
    this.#sweep();
    const expiresAtMs = this.#clock.wallNow() + MAIL_EXPIRY_MS;
    const box = this.#find(alias) ?? { messages: [], bytes: 0, expiresAtMs };
    box.expiresAtMs = expiresAtMs;
    this.#boxes.set(alias, box);
    return box;
  }

  #sweep(): void {
    if (this.#clock.now() - this.#sweptAtMs < SWEEP_EVERY_MS) return;
    this.#sweptAtMs = this.#clock.now();
    for (const alias of [...this.#boxes.keys()]) this.#find(alias);
  }
}

/** Mailboxes in Deno KV, for as many processes as there are. */
export function createKvMailboxes(kv: Deno.Kv, clock: Clock, { space, guard }: KvSpace): MailboxStore {
  return new KvMailboxes({ kv, clock, guard }, space);
}

class KvMailboxes implements MailboxStore {
  readonly #store: Writable;
  readonly #space: string;

  constructor(store: Writable, space: string) {
    this.#store = store;
    this.#space = space;
  }

  listen(alias: string, processId: string): Promise<void> {
    const value: StoredListener = { processId, expiresAtMs: this.#expiry() };
    return commitAll(this.#store, "note a listener", [this.#lasting(this.#key("listener", alias), value)]);
  }

  async listenOn(aliases: readonly string[], processId: string): Promise<readonly string[]> {
    const deed = "note listeners";
    const { kv, clock } = this.#store;
    const moved: string[] = [];
    for (let from = 0; from < aliases.length; from += MAX_CHECKS) {
      const group = aliases.slice(from, from + MAX_CHECKS);
      const keys = group.map((alias) => this.#key("listener", alias));
      const entries = await inStore(deed, () => kv.getMany(keys));
      const checks: Deno.AtomicCheck[] = [];
      const mutations: Mutation[] = [];
      for (const [index, { key, value, versionstamp }] of entries.entries()) {
        const { data } = storedListenerSchema.safeParse(value);
        if (data && data.processId !== processId && isLive(data, clock.wallNow())) moved.push(group[index]!);
        else {
          checks.push({ key, versionstamp });
          mutations.push(this.#lasting(key, { processId, expiresAtMs: this.#expiry() }));
        }
      }
      // When one has changed meanwhile, the next word comes soon enough.
      if (checks.length > 0) await commitIf(this.#store, deed, { checks, mutations });
    }
    return moved;
  }

  async leave(alias: string, processId: string): Promise<void> {
    const key = this.#key("listener", alias);
    const deed = "forget a listener";
    const { record, versionstamp } = await readVersion(this.#store.kv, deed, { key, schema: storedListenerSchema });
    // When it has changed meanwhile, it is another's.
    if (record?.processId === processId) {
      await commitIf(this.#store, deed, { checks: [{ key, versionstamp }], mutations: [{ key }] });
    }
  }

  async whereIs(alias: string): Promise<string | undefined> {
    const key = this.#key("listener", alias);
    const listener = await readOne(this.#store.kv, "find a listener", { key, schema: storedListenerSchema });
    return listener && isLive(listener, this.#store.clock.wallNow()) ? listener.processId : undefined;
  }

  async post(alias: string, messages: readonly Uint8Array[]): Promise<boolean> {
    const deed = "post to a mailbox";
    const bytes = weigh(messages);
    let isPosted = false;
    await untilCommitted(deed, async () => {
      const [{ lying, next, versionstamp }, listenerAt] = await Promise.all([
        this.#room(alias, deed),
        this.whereIs(alias),
      ]);
      if (lying + bytes > MAX_MAILBOX_BYTES) return true;
      const roomKey = this.#key("mail_room", alias);
      const expiresAtMs = this.#expiry();
      const mutations: Mutation[] = messages.map((message, at) =>
        this.#lasting([...this.#key("mail", alias), next + at], { message, expiresAtMs })
      );
      mutations.push(this.#lasting(roomKey, { bytes: lying + bytes, next: next + messages.length, expiresAtMs }));
      if (listenerAt !== undefined) {
        mutations.push(this.#lasting([...this.#key("rung", listenerAt), alias], { expiresAtMs }));
        mutations.push(this.#lasting(this.#key("bell", listenerAt), { expiresAtMs }));
      }
      return isPosted = await commitIf(this.#store, deed, { checks: [{ key: roomKey, versionstamp }], mutations });
    });
    return isPosted;
  }

  async take(alias: string): Promise<Uint8Array[]> {
    const deed = "take from a mailbox";
    const { kv, clock } = this.#store;
    let taken: Uint8Array[] = [];
    await untilCommitted(deed, async () => {
      const { versionstamp } = await this.#room(alias, deed);
      if (versionstamp === null) return true;
      const entries = await inStore(deed, () => Array.fromAsync(kv.list({ prefix: this.#key("mail", alias) })));
      const roomKey = this.#key("mail_room", alias);
      const mutations = [...entries.map(({ key }) => ({ key })), { key: roomKey }];
      const isTaken = await commitIf(this.#store, deed, { checks: [{ key: roomKey, versionstamp }], mutations });
      if (!isTaken) return false;
      const wallMs = clock.wallNow();
      taken = entries.flatMap(({ value }) => {
        const { data } = storedMailSchema.safeParse(value);
        return data && isLive(data, wallMs) ? [data.message] : [];
      });
      return true;
    });
    return taken;
  }

  async *posted(processId: string, signal: AbortSignal): AsyncGenerator<readonly string[]> {
    const { kv, clock } = this.#store;
    const read = () => this.#rung(processId);
    for await (const aliases of watchKey(kv, this.#key("bell", processId), { read, clock, signal, pollMs: LOOK_MS })) {
      if (aliases.length > 0) yield aliases;
    }
  }

  async #rung(processId: string): Promise<string[]> {
    const deed = "hear what was posted";
    const prefix = this.#key("rung", processId);
    const entries = await inStore(deed, () => Array.fromAsync(this.#store.kv.list({ prefix })));
    if (entries.length > 0) await commitAll(this.#store, deed, entries.map(({ key }) => ({ key })));
    return entries.map(({ key }) => String(key.at(-1)));
  }

  /** How much lies there, the number of what comes next, and the version of that word. */
  async #room(alias: string, deed: string): Promise<{ lying: number; next: number; versionstamp: string | null }> {
    const key = this.#key("mail_room", alias);
    const { record, versionstamp } = await readVersion(this.#store.kv, deed, { key, schema: storedMailRoomSchema });
    const lying = record && isLive(record, this.#store.clock.wallNow()) ? record.bytes : 0;
    return { lying, next: record?.next ?? 0, versionstamp };
  }

  #lasting(key: Deno.KvKey, value: unknown): Mutation {
    return { key, value, expireInMs: MAIL_EXPIRY_MS };
  }

  #expiry(): number {
    return this.#store.clock.wallNow() + MAIL_EXPIRY_MS;
  }

  #key(what: string, of: string): Deno.KvKey {
    return [this.#space, what, of];
  }
}

function weigh(messages: readonly Uint8Array[]): number {
  return messages.reduce((sum, message) => sum + message.length, 0);
}
