/**
 * Reading records back. What lies in a store may be from another version of this program, so it is parsed like
 * anything else that comes from outside: what does not fit its schema counts as absent.
 */

import type { WriteGuard } from "./commit.ts";
import { inStore } from "./store_error.ts";

/** What reads a record; the schemas of `protocol/` are such. */
export interface Parser<T> {
  safeParse(value: unknown): { readonly success: boolean; readonly data?: T | undefined };
}

export interface KvSpace {
  /** The first part of every key, so that several programs can share one store: a supernode's own peer id, say. */
  readonly space: string;
  /** For a space that one process at a time may write to, and whose troubles are watched. */
  readonly guard?: WriteGuard | undefined;
}

/** What was read, if it fits the schema, and at which version: for a write that must not overtake another. */
export interface Versioned<T> {
  readonly record: T | undefined;
  readonly versionstamp: string | null;
}

export interface ReadOptions<T> {
  readonly key: Deno.KvKey;
  readonly schema: Parser<T>;
}

export interface ListOptions<T> {
  readonly prefix: Deno.KvKey;
  readonly schema: Parser<T>;
  /** How many entries are looked at, at most. */
  readonly limit?: number | undefined;
  readonly reverse?: boolean;
  /** Only what lies before this key. */
  readonly end?: Deno.KvKey | undefined;
}

/** The record at a key; undefined if there is none that fits the schema. */
export async function readOne<T>(
  kv: Deno.Kv,
  deed: string,
  { key, schema }: ReadOptions<T>,
): Promise<T | undefined> {
  return (await readVersion(kv, deed, { key, schema })).record;
}

/** The same, and the version of what is there, whether it fits or not. */
export async function readVersion<T>(
  kv: Deno.Kv,
  deed: string,
  { key, schema }: ReadOptions<T>,
): Promise<Versioned<T>> {
  const { value, versionstamp } = await inStore(deed, () => kv.get(key));
  return { record: schema.safeParse(value).data, versionstamp };
}

/** Deno KV reads no more keys than this at once. */
const MAX_READ_KEYS = 10;

/** The records at many keys, in their order; undefined where there is none that fits. */
export async function readMany<T>(
  kv: Deno.Kv,
  deed: string,
  { keys, schema }: { readonly keys: readonly Deno.KvKey[]; readonly schema: Parser<T> },
): Promise<(T | undefined)[]> {
  const records: (T | undefined)[] = [];
  for (let at = 0; at < keys.length; at += MAX_READ_KEYS) {
    const entries = await inStore(deed, () => kv.getMany(keys.slice(at, at + MAX_READ_KEYS)));
    for (const { value } of entries) records.push(schema.safeParse(value).data);
  }
  return records;
}

/** The records under a prefix, in the order of their keys. */
export function readAll<T>(
  kv: Deno.Kv,
  deed: string,
  { prefix, schema, limit, reverse = false, end }: ListOptions<T>,
): Promise<T[]> {
  return inStore(deed, async () => {
    const records: T[] = [];
    const selector = end ? { prefix, end } : { prefix };
    for await (const { value } of kv.list(selector, { reverse, ...limit && { limit } })) {
      const { data } = schema.safeParse(value);
      if (data !== undefined) records.push(data);
    }
    return records;
  });
}

/** The keys under a prefix. */
export function readKeys(kv: Deno.Kv, deed: string, prefix: Deno.KvKey): Promise<Deno.KvKey[]> {
  return inStore(deed, async () => {
    const keys: Deno.KvKey[] = [];
    for await (const { key } of kv.list({ prefix })) keys.push(key);
    return keys;
  });
}
