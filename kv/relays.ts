/**
 * The relays that are there: hosts of every kind through which traffic may be led, with their keys. One registers
 * again before `RELAY_EXPIRY_MS` has passed, or is gone.
 *
 *   <space> "relay" kind id            RelayRecord
 *
 * One identity may run several kinds, each with a record of its own.
 */

import type { Clock } from "../protocol/clock.ts";
import {
  isLive,
  RELAY_EXPIRY_MS,
  type RelayKind,
  type RelayQuery,
  type RelayRecord,
  relayRecordSchema,
  type RelayRegistration,
} from "../protocol/directory.ts";
import { commitAll } from "./commit.ts";
import { ExpiringMap } from "./expiring_map.ts";
import { type KvSpace, readAll } from "./records.ts";
import { inStore } from "./store_error.ts";

export interface RelayStore {
  /** Lists a relay, in place of what was known of it. */
  register(registration: RelayRegistration): Promise<RelayRecord>;
  /** Those that are alive, in the order of `byUse`. */
  list(query?: Omit<RelayQuery, "after">): Promise<RelayRecord[]>;
  remove(kind: RelayKind, relayId: string): Promise<void>;
}

/** The least loaded first, then those with more bandwidth, then by id and kind, so that no two are in one place. */
export function byUse(
  a: Pick<RelayRecord, "load" | "bandwidthMbps" | "relayId" | "kind">,
  b: Pick<RelayRecord, "load" | "bandwidthMbps" | "relayId" | "kind">,
): number {
  const [one, other] = [a.relayId + a.kind, b.relayId + b.kind];
  return a.load - b.load || (b.bandwidthMbps ?? 0) - (a.bandwidthMbps ?? 0) || (one < other ? -1 : Number(one > other));
}

function newRecord(registration: RelayRegistration, wallMs: number): RelayRecord {
  return { ...registration, registeredAtMs: wallMs, expiresAtMs: wallMs + RELAY_EXPIRY_MS };
}

function select(records: Iterable<RelayRecord>, { kind, region, count }: RelayQuery, wallMs: number): RelayRecord[] {
  return [...records].filter((record) =>
    isLive(record, wallMs) &&
    (kind === undefined || record.kind === kind) &&
    (region === undefined || record.region === region)
  ).sort(byUse).slice(0, count);
}

/** Relays that are remembered as long as the process lasts. */
export function createMemoryRelays(clock: Clock): RelayStore {
  const records = new ExpiringMap<RelayRecord>(clock, { what: "relays" });
  const keyOf = (kind: RelayKind, relayId: string) => `${kind} ${relayId}`;
  return {
    register: (registration) =>
      inStore("register a relay", () => {
        const record = newRecord(registration, clock.wallNow());
        records.set(keyOf(record.kind, record.relayId), record, record.expiresAtMs);
        return Promise.resolve(record);
      }),
    list: (query = {}) => Promise.resolve(select(records.values(), query, clock.wallNow())),
    remove(kind, relayId) {
      records.delete(keyOf(kind, relayId));
      return Promise.resolve();
    },
  };
}

/** Relays in Deno KV. */
export function createKvRelays(kv: Deno.Kv, clock: Clock, { space }: KvSpace): RelayStore {
  return {
    async register(registration) {
      const value = newRecord(registration, clock.wallNow());
      const key = [space, "relay", value.kind, value.relayId];
      await commitAll({ kv, clock }, `register relay ${value.relayId}`, [{ key, value, expireInMs: RELAY_EXPIRY_MS }]);
      return value;
    },
    async list(query = {}) {
      const prefix = query.kind === undefined ? [space, "relay"] : [space, "relay", query.kind];
      return select(await readAll(kv, "list relays", { prefix, schema: relayRecordSchema }), query, clock.wallNow());
    },
    remove: (kind, relayId) =>
      commitAll({ kv, clock }, `remove relay ${relayId}`, [{ key: [space, "relay", kind, relayId] }]),
  };
}
