/**
 * Nonces that were seen, for all processes on one store: a signed message that comes a second time, to whichever of
 * them, is a replay. A nonce is remembered until the message it belongs to could not pass any more.
 *
 *   <space> "nonce" nonce              { expiresAtMs }
 *
 * Not here: one process that needs no store (`protocol/control/nonces.ts`). One write for each nonce, so ask this only
 * once a signature is known to be good.
 */

import type { Clock } from "../protocol/clock.ts";
import { storedNonceSchema } from "../protocol/stored_records.ts";
import { commitIf } from "./commit.ts";
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
  return {
    async remember(nonce, expiresAtMs) {
      const deed = "remember a nonce";
      const key = [space, "nonce", nonce];
      const mutations = [{ key, value: { expiresAtMs }, expireInMs: expiresAtMs - clock.wallNow() }];
      if (await commitIf({ kv, clock, guard }, deed, { checks: [{ key, versionstamp: null }], mutations })) return true;
      const { record: past, versionstamp } = await readVersion(kv, deed, { key, schema: storedNonceSchema });
      // Deno KV forgets late: one whose time has passed may still be there, and counts as forgotten.
      if (past && past.expiresAtMs > clock.wallNow()) return false;
      return commitIf({ kv, clock, guard }, deed, { checks: [{ key, versionstamp }], mutations });
    },
  };
}
