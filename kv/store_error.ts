/**
 * What goes wrong in a store, told apart by `code`, because Deno KV has one TypeError for most of it. None of these
 * spoils the store: when the cause is gone the next call works.
 *
 *   store_locked  another process has held the file for longer than writes wait (`commit.ts`)
 *   store_full    the disk, or a store in memory, has no room; reading still works
 *   store_closed  the handle was closed
 *   too_large     a key, a value or a commit is over what Deno KV takes; smaller it would be taken
 *   store_failed  anything else; the message carries the cause's
 */

import { CulvertError, messageOf } from "../protocol/errors.ts";

export type StoreFailure = "store_locked" | "store_full" | "store_closed" | "too_large" | "store_failed";

interface Symptom {
  readonly pattern: RegExp;
  readonly code: StoreFailure;
  readonly advice: string;
}

/** Patterns of SQLite's messages, which Deno KV passes on. */
const SYMPTOMS: readonly Symptom[] = [
  { pattern: /is (locked|busy)/, code: "store_locked", advice: "another process is writing to it" },
  { pattern: /disk is full/, code: "store_full", advice: "free some space" },
  { pattern: /too (large|many)/i, code: "too_large", advice: "ask for less at once" },
  { pattern: /closed|Bad resource/i, code: "store_closed", advice: "its handle was closed" },
];

/** The error to throw for what a store has thrown. `deed` completes "Cannot …", such as "remember a nonce". */
export function storeError(deed: string, cause: unknown): CulvertError {
  if (cause instanceof CulvertError) return cause;
  const message = messageOf(cause);
  const symptom = SYMPTOMS.find(({ pattern }) => pattern.test(message));
  const advice = symptom ? ` (${symptom.advice})` : "";
  return new CulvertError(symptom?.code ?? "store_failed", `Cannot ${deed}: ${message}${advice}`, { cause });
}

/** Does the deed, and throws `storeError` if it fails. */
export async function inStore<T>(deed: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    throw storeError(deed, cause);
  }
}
