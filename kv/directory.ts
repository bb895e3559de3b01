/**
 * The directory: the supernodes and relays that are there, kept for base. See `supernodes.ts` and `relays.ts`.
 */

import type { Clock } from "../protocol/clock.ts";
import type { KvSpace } from "./records.ts";
import { createKvRelays, createMemoryRelays, type RelayStore } from "./relays.ts";
import { createKvSupernodes, createMemorySupernodes, type SupernodeStore } from "./supernodes.ts";

export interface DirectoryStore {
  readonly supernodes: SupernodeStore;
  readonly relays: RelayStore;
}

/** A directory that lasts as long as the process. */
export function createMemoryDirectory(clock: Clock): DirectoryStore {
  return { supernodes: createMemorySupernodes(clock), relays: createMemoryRelays(clock) };
}

/** A directory in Deno KV. */
export function createKvDirectory(kv: Deno.Kv, clock: Clock, options: KvSpace): DirectoryStore {
  return { supernodes: createKvSupernodes(kv, clock, options), relays: createKvRelays(kv, clock, options) };
}
