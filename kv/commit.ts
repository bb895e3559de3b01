/**
 * Many writes in as few commits as the limits allow. Each commit is atomic and all of them together are not, so what
 * must appear at once belongs into one that is small.
 *
 * The limits are the narrowest of Deno's own and a self-hosted denokv's. Sizes are estimated from above, since Deno
 * does not tell what a value weighs once it is serialised.
 */

import { type Clock, delay } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import { storeError } from "./store_error.ts";

export const MAX_MUTATIONS = 1000;
export const MAX_COMMIT_BYTES = 800 * 1024;
/** Deno 2.9's runtime; its documentation says 90 KiB. */
export const MAX_COMMIT_KEY_BYTES = 80 * 1024;

/**
 * Of two processes that write to one SQLite file at once, Deno KV at times turns one away without waiting for the other
 * (measured on Deno 2.9.6). Nothing has been written then, and a moment later it goes through.
 */
const LOCKED_RETRY_MS = 5;
/** Less than the five seconds that SQLite waits when it does, or whoever has waited so long would wait as long again. */
const LOCKED_PATIENCE_MS = 4000;

/** A store to write to, and the time to wait when it is locked. */
export interface Writable {
  readonly kv: Deno.Kv;
  readonly clock: Clock;
  readonly guard?: WriteGuard | undefined;
}

/** What stands before every write. */
export interface WriteGuard {
  /** What must still be as it was, or nothing is written any more (`store_fenced`): a lease that is held. */
  readonly fence?: Deno.AtomicCheck | undefined;
  /** Told of every write that went through or failed for good, once it has. */
  onWrite?(error?: CulvertError): void;
}

export interface Mutation {
  readonly key: Deno.KvKey;
  /** What to keep there; left out to delete what is there. */
  readonly value?: unknown;
  /** Deno KV forgets it some time later than this, up to a minute; readers check an `expiresAtMs` of their own. */
  readonly expireInMs?: number;
}

export interface Write {
  /** At most nine, beside the fence: denokv 0.12 takes ten, Deno itself 100. */
  readonly checks: readonly Deno.AtomicCheck[];
  readonly mutations: readonly Mutation[];
}

/** Writes without a condition. `deed` completes "Cannot …" if it fails; earlier commits then stay. */
export async function commitAll(store: Writable, deed: string, mutations: readonly Mutation[]): Promise<void> {
  for (const part of partsOf(mutations)) {
    await commitIf(store, deed, { checks: [], mutations: part });
  }
}

/**
 * Writes if everything checked is still as it was read; false, and nothing written, if it is not. For a handful of
 * mutations: they are not split.
 */
export async function commitIf(store: Writable, deed: string, write: Write): Promise<boolean> {
  return await commitVersion(store, deed, write) !== undefined;
}

/** The same; gives the version that everything written has now. */
export async function commitVersion(store: Writable, deed: string, write: Write): Promise<string | undefined> {
  const { clock, guard } = store;
  const untilMs = clock.now() + LOCKED_PATIENCE_MS;
  for (;;) {
    try {
      const version = await commitOnce(store, deed, write);
      guard?.onWrite?.();
      return version;
    } catch (cause) {
      const error = storeError(deed, cause);
      if (error.code !== "store_locked" || clock.now() >= untilMs) {
        guard?.onWrite?.(error);
        throw error;
      }
      await delay(clock, LOCKED_RETRY_MS);
    }
  }
}

async function commitOnce(
  { kv, guard }: Writable,
  deed: string,
  { checks, mutations }: Write,
): Promise<string | undefined> {
  const fence = guard?.fence;
  const result = await addTo(kv.atomic().check(...fence ? [fence] : [], ...checks), mutations).commit();
  if (result.ok) return result.versionstamp;
  if (!fence || (await kv.get(fence.key)).versionstamp === fence.versionstamp) return undefined;
  throw new CulvertError("store_fenced", `Cannot ${deed}: another process has taken over`);
}

/** Others that write to the same key at once make an attempt fail; so many in a row mean that something else is wrong. */
const MAX_ATTEMPTS = 20;

/** Reads and writes again until nobody else has written in between. `attempt` says whether it got through. */
export async function untilCommitted(deed: string, attempt: () => Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < MAX_ATTEMPTS; turn++) if (await attempt()) return;
  throw new CulvertError("store_contended", `Cannot ${deed}: others have changed it ${MAX_ATTEMPTS} times meanwhile`);
}

function addTo(atomic: Deno.AtomicOperation, mutations: readonly Mutation[]): Deno.AtomicOperation {
  for (const { key, value, expireInMs } of mutations) {
    if (value === undefined) atomic.delete(key);
    else if (expireInMs === undefined) atomic.set(key, value);
    // A record that expired on its way here is still written, for Deno KV to forget at its next sweep.
    else atomic.set(key, value, { expireIn: Math.max(1, expireInMs) });
  }
  return atomic;
}

/** Consecutive runs of mutations, each within the limits of one commit. */
export function* partsOf(mutations: readonly Mutation[]): Generator<readonly Mutation[]> {
  let part: Mutation[] = [];
  let bytes = 0;
  let keyBytes = 0;
  for (const mutation of mutations) {
    const key = weighKey(mutation.key);
    // Deno 2.9.6 counts the key twice towards the whole (measured).
    const total = 2 * key + weigh(mutation.value);
    const isFull = part.length === MAX_MUTATIONS || bytes + total > MAX_COMMIT_BYTES ||
      keyBytes + key > MAX_COMMIT_KEY_BYTES;
    if (isFull && part.length > 0) {
      yield part;
      part = [];
      bytes = keyBytes = 0;
    }
    part.push(mutation);
    bytes += total;
    keyBytes += key;
  }
  if (part.length > 0) yield part;
}

/** A mark before and after each part; nine bytes are a number. */
const KEY_PART_BYTES = 9;

function weighKey(key: Deno.KvKey): number {
  let bytes = 0;
  for (const part of key) bytes += typeof part === "string" ? 2 + utf8Length(part) : KEY_PART_BYTES;
  return bytes;
}

/** At least the bytes of the text in a key, where a zero takes two. */
function utf8Length(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === 0) bytes++;
    else if (unit > 0x7f) bytes += 2;
  }
  return bytes;
}

/** Tag, length and padding of one serialised value, generously. */
const OVERHEAD_BYTES = 16;

/** At least what V8's serialisation of a record takes: two bytes a character, eight a number. */
function weigh(value: unknown): number {
  if (typeof value === "string") return OVERHEAD_BYTES + 2 * value.length;
  if (value instanceof Uint8Array) return OVERHEAD_BYTES + value.length;
  if (typeof value !== "object" || value === null) return OVERHEAD_BYTES;
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + weigh(item), OVERHEAD_BYTES);
  let bytes = OVERHEAD_BYTES;
  for (const [name, item] of Object.entries(value)) bytes += weigh(name) + weigh(item);
  return bytes;
}
