/**
 * Where the relay of a supernode has last seen the two sides of sessions, so that one that is started again passes their
 * datagrams on at once, without waiting for a handshake.
 *
 *   <space> "relay_at" sessionId     { sessionId, clientAt, exitAt, expiresAtMs }
 *
 * What is missing or old costs a handshake and nothing else, so it is written in batches, some time later. One process
 * writes.
 */

import type { Clock } from "../protocol/clock.ts";
import { isLive } from "../protocol/directory.ts";
import { type RelayAddresses, relayAddressesSchema } from "../protocol/session.ts";
import { commitAll } from "./commit.ts";
import { type KvSpace, readAll } from "./records.ts";

export interface RelayAddressStore {
  save(all: readonly RelayAddresses[]): Promise<void>;
  remove(sessionId: string): Promise<void>;
  /** Those of sessions whose time has not passed. */
  list(): Promise<RelayAddresses[]>;
}

/** Addresses that last as long as the process. */
export function createMemoryRelayAddresses(clock: Clock): RelayAddressStore {
  const known = new Map<string, RelayAddresses>();
  return {
    save(all) {
      for (const addresses of all) known.set(addresses.sessionId, addresses);
      return Promise.resolve();
    },
    remove(sessionId) {
      known.delete(sessionId);
      return Promise.resolve();
    },
    list: () => Promise.resolve([...known.values()].filter((addresses) => isLive(addresses, clock.wallNow()))),
  };
}

/** Addresses in Deno KV. */
export function createKvRelayAddresses(kv: Deno.Kv, clock: Clock, { space, guard }: KvSpace): RelayAddressStore {
  const prefix = [space, "relay_at"];
  const store = { kv, clock, guard };
  return {
    save(all) {
      const mutations = all.map((value) => ({
        key: [...prefix, value.sessionId],
        value,
        expireInMs: value.expiresAtMs - clock.wallNow(),
      }));
      return commitAll(store, "save where sessions are", mutations);
    },
    remove: (sessionId) => commitAll(store, "forget where a session is", [{ key: [...prefix, sessionId] }]),
    async list() {
      const known = await readAll(kv, "list where sessions are", { prefix, schema: relayAddressesSchema });
      return known.filter((addresses) => isLive(addresses, clock.wallNow()));
    },
  };
}
