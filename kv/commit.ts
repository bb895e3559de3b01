/**
 * Many writes in as few commits as the limits allow. Each commit is atomic and all of them together are not, so what
 * must appear at once belongs into one that is small.
 *
 * The limits are the narrowest of Deno's own and a self-hosted denokv's. Sizes are estimated from above, since Deno
 * does not tell what a value weighs once it is serialised.
 */

import { CulvertError } from "../protocol/errors.ts";
import { inStore } from "./store_error.ts";

/** denokv 0.12 takes no more, Deno itself 100. */
export const MAX_CHECKS = 10;
export const MAX_MUTATIONS = 1000;
export const MAX_COMMIT_BYTES = 800 * 1024;
/** Deno 2.9's runtime; its documentation says 90 KiB. */
export const MAX_COMMIT_KEY_BYTES = 80 * 1024;

export interface Mutation {
  readonly key: Deno.KvKey;
  /** What to keep there; left out to delete what is there. */
  readonly value?: unknown;
  /** Deno KV forgets it some time later than this, up to a minute; readers check an `expiresAtMs` of their own. */
  readonly expireInMs?: number;
}

/** Writes without a condition. `deed` completes "Cannot …" if it fails; earlier commits then stay. */
export async function commitAll(kv: Deno.Kv, deed: string, mutations: readonly Mutation[]): Promise<void> {
  for (const part of partsOf(mutations)) {
    await inStore(deed, () => addTo(kv.atomic(), part).commit());
  }
}

/**
 * Writes if everything checked is still as it was read; false, and nothing written, if it is not. For a handful of
 * mutations: they are not split.
 */
export async function commitIf(
  kv: Deno.Kv,
  deed: string,
  { checks, mutations }: { readonly checks: readonly Deno.AtomicCheck[]; readonly mutations: readonly Mutation[] },
): Promise<boolean> {
  const { ok } = await inStore(deed, () => addTo(kv.atomic().check(...checks), mutations).commit());
  return ok;
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
    const key = weigh(mutation.key);
    const total = key + weigh(mutation.value);
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

/** Tag, length and padding of one serialised value, generously. */
const OVERHEAD_BYTES = 16;

/** At least what V8's serialisation of a record takes: two bytes a character, eight a number. */
function weigh(value: unknown): number {
  if (typeof value === "string") return OVERHEAD_BYTES + 2 * value.length;
  if (value instanceof Uint8Array) return OVERHEAD_BYTES + value.length;
  if (typeof value !== "object" || value === null) return OVERHEAD_BYTES;
  let bytes = OVERHEAD_BYTES;
  for (const [name, item] of Object.entries(value)) bytes += weigh(name) + weigh(item);
  return bytes;
}
