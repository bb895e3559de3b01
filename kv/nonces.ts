/**
 * Nonces that were seen, for all processes on one store: a signed message that comes a second time, to whichever of
 * them, is a replay. A nonce is remembered until the message it belongs to could not pass any more.
 *
 *   <space> "nonce" nonce              { expiresAtMs }
 *
 * When thousands come at once they share commits, nine at a time, which is what a denokv checks in one; alone, each has
 * one of its own. Still a write for each nonce, so ask this only once a signature is known to be good.
 *
 * Not here: one process that needs no store (`protocol/control/nonces.ts`).
 */

import type { Clock } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import { storedNonceSchema } from "../protocol/stored_records.ts";
import { commitIf, type Writable } from "./commit.ts";
import { ExpiringMap } from "./expiring_map.ts";
import { type KvSpace, readVersion } from "./records.ts";
import { inStore } from "./store_error.ts";

export interface NonceStore {
  /**
   * Remembers a nonce until the time, in milliseconds since 1970. False if it is remembered already: of several who
   * ask at once, one gets true. Throws `store_full` if there is no room.
   */
  remember(nonce: string, expiresAtMs: number): Promise<boolean>;
}

/** Nonces that are remembered as long as the process lasts. */
export function createMemoryNonces(clock: Clock, { maxNonces = 1_000_000 }: { maxNonces?: number } = {}): NonceStore {
  const seen = new ExpiringMap<true>(clock, { what: "nonces", maxEntries: maxNonces });
  return {
    remember(nonce, expiresAtMs) {
      return inStore("remember a nonce", () => {
        if (seen.get(nonce)) return Promise.resolve(false);
        seen.set(nonce, true, expiresAtMs);
        return Promise.resolve(true);
      });
    },
  };
}

/** Nonces in Deno KV. */
export function createKvNonces(kv: Deno.Kv, clock: Clock, { space, guard }: KvSpace): NonceStore {
  return new KvNonces({ kv, clock, guard }, space);
}

/** Checks in one commit: denokv 0.12 takes no more, with the one that a guard may add. */
const MAX_TOGETHER = 9;
/** Commits under way at once: for a store that is far away. */
const MAX_COMMITS = 8;
const MAX_WAITING = 100_000;
const DEED = "remember a nonce";

interface Asked {
  readonly nonce: string;
  readonly expiresAtMs: number;
  resolve(isNew: boolean): void;
  reject(error: unknown): void;
}

class KvNonces implements NonceStore {
  readonly #store: Writable;
  readonly #space: string;
  #waiting: Asked[] = [];
  #commits = 0;

  constructor(store: Writable, space: string) {
    this.#store = store;
    this.#space = space;
  }

  remember(nonce: string, expiresAtMs: number): Promise<boolean> {
    if (this.#waiting.length >= MAX_WAITING) {
      const message = `Cannot ${DEED}: at most ${MAX_WAITING} must wait, got one more`;
      return Promise.reject(new CulvertError("store_busy", message));
    }
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    this.#waiting.push({ nonce, expiresAtMs, resolve, reject });
    if (this.#commits < MAX_COMMITS) void this.#work();
    return promise;
  }

  async #work(): Promise<void> {
    this.#commits++;
    while (this.#waiting.length > 0) await this.#rememberAll(this.#waiting.splice(0, MAX_TOGETHER));
    this.#commits--;
  }

  async #rememberAll(asked: readonly Asked[]): Promise<void> {
    try {
      const areNew = await this.#areAllNew(asked);
      for (const each of asked) each.resolve(areNew || await this.#isNew(each));
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }

  /** True, and they are remembered; or false, and none is: one of them, or two that are the same, may not be new. */
  #areAllNew(asked: readonly Asked[]): Promise<boolean> {
    if (new Set(asked.map(({ nonce }) => nonce)).size < asked.length) return Promise.resolve(false);
    return this.#commit(asked.map((each) => ({ ...each, versionstamp: null })));
  }

  async #isNew({ nonce, expiresAtMs }: Asked): Promise<boolean> {
    const { record: past, versionstamp } = await readVersion(this.#store.kv, DEED, {
      key: this.#keyOf(nonce),
      schema: storedNonceSchema,
    });
    // Deno KV forgets late: one whose time has passed may still be there, and counts as forgotten.
    if (past && past.expiresAtMs > this.#store.clock.wallNow()) return false;
    return await this.#commit([{ nonce, expiresAtMs, versionstamp }]);
  }

  /** False if one of them is not, or no longer, at that version. */
  #commit(
    nonces: readonly { readonly nonce: string; readonly expiresAtMs: number; readonly versionstamp: string | null }[],
  ): Promise<boolean> {
    const wallMs = this.#store.clock.wallNow();
    return commitIf(this.#store, DEED, {
      checks: nonces.map(({ nonce, versionstamp }) => ({ key: this.#keyOf(nonce), versionstamp })),
      mutations: nonces.map(({ nonce, expiresAtMs }) => ({
        key: this.#keyOf(nonce),
        value: { expiresAtMs },
        expireInMs: expiresAtMs - wallMs,
      })),
    });
  }

  #keyOf(nonce: string): Deno.KvKey {
    return [this.#space, "nonce", nonce];
  }
}
