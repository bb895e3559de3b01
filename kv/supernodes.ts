/**
 * The supernodes that are there. One that has not been heard of for `SUPERNODE_EXPIRY_MS` is gone and has to register
 * again, whatever Deno KV still holds of it.
 *
 *   <space> "supernode" region id                      SupernodeListing: what lasts, from the registration
 *   <space> "supernode_status" region id               StoredStatus: what changes, and until when both count
 *   <space> "supernode_place" id                       SupernodePlace: the region, to find the two by id
 *   <space> "supernode_abroad" exitRegion region id    SupernodeAbroad: it has exits there
 *
 * They lie apart so that a heartbeat is a write without conditions, many of them one commit, and none can undo a
 * registration. A status without its listing, left by a heartbeat that met a leave, is never shown. A supernode abroad is
 * only a hint where to look: it is written with every status and left to expire, and what the status says counts. Thus a
 * change costs as many writes as the supernode has regions, however many supernodes there are. So that listings do
 * not pile up, one is forgotten `LISTING_EXPIRY_MS` after its registration; from half of that on its supernode is asked
 * to register again.
 *
 * Not here: whether the registration is signed, and by whom.
 */

import type { Clock } from "../protocol/clock.ts";
import {
  hasExitsIn,
  isLive,
  SUPERNODE_EXPIRY_MS,
  type SupernodeHeartbeat,
  type SupernodeRecord,
  type SupernodeRegistration,
  type SupernodeSelection,
  type SupernodeStatus,
} from "../protocol/directory.ts";
import {
  type StoredStatus,
  storedStatusSchema,
  type SupernodeAbroad,
  supernodeAbroadSchema,
  type SupernodeListing,
  supernodeListingSchema,
  type SupernodePlace,
  supernodePlaceSchema,
} from "../protocol/stored_records.ts";
import { commitAll, commitIf, type Mutation, untilCommitted, type Writable } from "./commit.ts";
import { ExpiringMap } from "./expiring_map.ts";
import { type KvSpace, readAll, readMany, readOne, readVersion } from "./records.ts";
import { inStore } from "./store_error.ts";

/** Half of this is often enough to renew, and seldom enough to cost nothing. */
export const LISTING_EXPIRY_MS = 2 * 3_600_000;

export interface SupernodeQuery {
  /** Where their exits are, for those with exits, or they themselves. Left out: anywhere. */
  readonly region?: string | undefined;
  /** Default all. */
  readonly which?: SupernodeSelection;
  /** None but these. */
  readonly only?: readonly string[] | undefined;
  readonly exclude?: readonly string[] | undefined;
  /** At most this many. */
  readonly count?: number | undefined;
}

export interface SupernodeStore {
  /** Lists a supernode, in place of what was known of it. */
  register(registration: SupernodeRegistration): Promise<SupernodeRecord>;
  /** Notes that they are alive, hundreds in one commit. Gives the ids of those that have to register again. */
  heartbeat(heartbeats: readonly SupernodeHeartbeat[]): Promise<string[]>;
  find(supernodeId: string): Promise<SupernodeRecord | undefined>;
  /** Those that are alive, the best first: `bySpareCapacity`. */
  list(query?: SupernodeQuery): Promise<SupernodeRecord[]>;
  /** False if it was not listed. */
  remove(supernodeId: string): Promise<boolean>;
}

/**
 * Not draining before draining, then the least loaded, then one in the region asked for before one that only has exits
 * there, then the one with room for more streams, then by id.
 */
export function bySpareCapacity(a: SupernodeRecord, b: SupernodeRecord, region?: string): number {
  return Number(a.status.draining) - Number(b.status.draining) ||
    a.status.load - b.status.load ||
    (region === undefined ? 0 : Number(b.region === region) - Number(a.region === region)) ||
    spareStreams(b) - spareStreams(a) ||
    (a.supernodeId < b.supernodeId ? -1 : 1);
}

function spareStreams({ maxStreams, status }: SupernodeRecord): number {
  return maxStreams - status.streams;
}

function select(records: Iterable<SupernodeRecord>, query: SupernodeQuery, wallMs: number): SupernodeRecord[] {
  const { region, which = "all", only, exclude = [], count } = query;
  const excluded = new Set(exclude);
  const wanted = only && new Set(only);
  return [...records].filter((record) =>
    isLive(record, wallMs) &&
    isOf(which, record.status) &&
    (region === undefined || (which === "with_exits" ? hasExitsIn(record, region) : record.region === region)) &&
    wanted?.has(record.supernodeId) !== false &&
    !excluded.has(record.supernodeId)
  ).sort((a, b) => bySpareCapacity(a, b, region)).slice(0, count);
}

function isOf(which: SupernodeSelection, { exits, draining }: SupernodeStatus): boolean {
  return which === "all" || !draining && (which === "open" || exits > 0);
}

function newRecord(registration: SupernodeRegistration, wallMs: number): SupernodeRecord {
  return {
    ...registration,
    registeredAtMs: wallMs,
    heartbeatAtMs: wallMs,
    expiresAtMs: wallMs + SUPERNODE_EXPIRY_MS,
  };
}

function isDueAgain({ registeredAtMs }: { readonly registeredAtMs: number }, wallMs: number): boolean {
  return wallMs >= registeredAtMs + LISTING_EXPIRY_MS / 2;
}

/** Supernodes that are remembered as long as the process lasts. */
export function createMemorySupernodes(clock: Clock): SupernodeStore {
  const records = new ExpiringMap<SupernodeRecord>(clock, { what: "supernodes" });
  const keep = (record: SupernodeRecord) => records.set(record.supernodeId, record, record.expiresAtMs);
  return {
    register: (registration) =>
      inStore("register a supernode", () => {
        const record = newRecord(registration, clock.wallNow());
        keep(record);
        return Promise.resolve(record);
      }),
    heartbeat(heartbeats) {
      const unknown: string[] = [];
      const heartbeatAtMs = clock.wallNow();
      for (const { supernodeId, ...status } of heartbeats) {
        const record = records.get(supernodeId);
        if (!record || isDueAgain(record, heartbeatAtMs)) unknown.push(supernodeId);
        if (record) keep({ ...record, status, heartbeatAtMs, expiresAtMs: heartbeatAtMs + SUPERNODE_EXPIRY_MS });
      }
      return Promise.resolve(unknown);
    },
    find: (supernodeId) => Promise.resolve(records.get(supernodeId)),
    list: (query = {}) => Promise.resolve(select(records.values(), query, clock.wallNow())),
    remove: (supernodeId) => Promise.resolve(records.delete(supernodeId)),
  };
}

/** Supernodes in Deno KV. */
export function createKvSupernodes(kv: Deno.Kv, clock: Clock, { space }: KvSpace): SupernodeStore {
  return new KvSupernodes(kv, clock, space);
}

class KvSupernodes implements SupernodeStore {
  readonly #kv: Deno.Kv;
  readonly #store: Writable;
  readonly #clock: Clock;
  readonly #space: string;

  constructor(kv: Deno.Kv, clock: Clock, space: string) {
    this.#kv = kv;
    this.#store = { kv, clock };
    this.#clock = clock;
    this.#space = space;
  }

  async register(registration: SupernodeRegistration): Promise<SupernodeRecord> {
    const deed = `register supernode ${registration.supernodeId}`;
    const record = newRecord(registration, this.#clock.wallNow());
    const { status, heartbeatAtMs, expiresAtMs, ...listing } = record;
    const { supernodeId, region, registeredAtMs } = listing;
    const placeKey = this.#placeKey(supernodeId);
    const writes: Mutation[] = [
      { key: placeKey, value: { region, registeredAtMs } satisfies SupernodePlace, expireInMs: LISTING_EXPIRY_MS },
      { key: this.#listingKey(region, supernodeId), value: listing, expireInMs: LISTING_EXPIRY_MS },
      ...this.#statusWrites({ ...status, supernodeId, region, heartbeatAtMs, expiresAtMs }),
    ];
    await untilCommitted(deed, async () => {
      const { record: old, versionstamp } = await readVersion(this.#kv, deed, {
        key: placeKey,
        schema: supernodePlaceSchema,
      });
      const leave = old && old.region !== region ? this.#keysAt(old.region, supernodeId).map((key) => ({ key })) : [];
      return commitIf(this.#store, deed, {
        checks: [{ key: placeKey, versionstamp }],
        mutations: [...leave, ...writes],
      });
    });
    return record;
  }

  async heartbeat(heartbeats: readonly SupernodeHeartbeat[]): Promise<string[]> {
    const deed = "note heartbeats";
    const heartbeatAtMs = this.#clock.wallNow();
    const expiresAtMs = heartbeatAtMs + SUPERNODE_EXPIRY_MS;
    const places = await readMany(this.#kv, deed, {
      keys: heartbeats.map(({ supernodeId }) => this.#placeKey(supernodeId)),
      schema: supernodePlaceSchema,
    });
    const statuses = await readMany(this.#kv, deed, {
      // Where the place is unknown nothing lies at this key either.
      keys: heartbeats.map(({ supernodeId }, at) => this.#statusKey(places[at]?.region ?? "", supernodeId)),
      schema: storedStatusSchema,
    });
    const unknown: string[] = [];
    const writes: Mutation[] = [];
    for (const [at, heartbeat] of heartbeats.entries()) {
      const place = places[at];
      const last = statuses[at];
      const isKnown = place && last && isLive(last, heartbeatAtMs);
      if (isKnown) {
        writes.push(...this.#statusWrites({ ...heartbeat, region: place.region, heartbeatAtMs, expiresAtMs }));
      }
      if (!isKnown || isDueAgain(place, heartbeatAtMs)) unknown.push(heartbeat.supernodeId);
    }
    await commitAll(this.#store, deed, writes);
    return unknown;
  }

  async find(supernodeId: string): Promise<SupernodeRecord | undefined> {
    const deed = "find a supernode";
    const place = await readOne(this.#kv, deed, { key: this.#placeKey(supernodeId), schema: supernodePlaceSchema });
    if (!place) return undefined;
    const [listing, status] = await Promise.all([
      readOne(this.#kv, deed, { key: this.#listingKey(place.region, supernodeId), schema: supernodeListingSchema }),
      readOne(this.#kv, deed, { key: this.#statusKey(place.region, supernodeId), schema: storedStatusSchema }),
    ]);
    if (!listing || !status || !isLive(status, this.#clock.wallNow())) return undefined;
    return join(listing, status);
  }

  async list(query: SupernodeQuery = {}): Promise<SupernodeRecord[]> {
    const { region } = query;
    const under = (name: string) => region === undefined ? [this.#space, name] : [this.#space, name, region];
    const [listings, statuses, abroad] = await Promise.all([
      readAll(this.#kv, "list supernodes", { prefix: under("supernode"), schema: supernodeListingSchema }),
      readAll(this.#kv, "list supernodes", { prefix: under("supernode_status"), schema: storedStatusSchema }),
      region !== undefined && query.which === "with_exits" ? this.#abroad(region) : [],
    ]);
    // By region as well: where a supernode has been before, a late heartbeat may have left a status.
    const placeOf = ({ region, supernodeId }: SupernodeListing | StoredStatus) => `${region} ${supernodeId}`;
    const statusAt = new Map(statuses.map((status) => [placeOf(status), status]));
    const records = listings.flatMap((listing) => {
      const status = statusAt.get(placeOf(listing));
      return status ? [join(listing, status)] : [];
    });
    return select([...records, ...abroad], query, this.#clock.wallNow());
  }

  /** Those listed under other regions that have had exits in this one of late. */
  async #abroad(exitRegion: string): Promise<SupernodeRecord[]> {
    const deed = "list supernodes";
    const prefix = [this.#space, "supernode_abroad", exitRegion];
    const hints = await readAll(this.#kv, deed, { prefix, schema: supernodeAbroadSchema });
    const wallMs = this.#clock.wallNow();
    const live = hints.filter((hint) => isLive(hint, wallMs));
    const [listings, statuses] = await Promise.all([
      readMany(this.#kv, deed, {
        keys: live.map(({ region, supernodeId }) => this.#listingKey(region, supernodeId)),
        schema: supernodeListingSchema,
      }),
      readMany(this.#kv, deed, {
        keys: live.map(({ region, supernodeId }) => this.#statusKey(region, supernodeId)),
        schema: storedStatusSchema,
      }),
    ]);
    return listings.flatMap((listing, at) => {
      const status = statuses[at];
      return listing && status ? [join(listing, status)] : [];
    });
  }

  async remove(supernodeId: string): Promise<boolean> {
    const found = await this.find(supernodeId);
    if (!found) return false;
    const keys = [this.#placeKey(supernodeId), ...this.#keysAt(found.region, supernodeId)];
    await commitAll(this.#store, `remove supernode ${supernodeId}`, keys.map((key) => ({ key })));
    return true;
  }

  #statusWrites(status: StoredStatus): Mutation[] {
    const { region, supernodeId, exitRegions = [], expiresAtMs } = status;
    const hint: SupernodeAbroad = { supernodeId, region, expiresAtMs };
    const abroad = exitRegions.filter((exitRegion) => exitRegion !== region)
      .map((exitRegion) => ({ key: [this.#space, "supernode_abroad", exitRegion, region, supernodeId], value: hint }));
    return [{ key: this.#statusKey(region, supernodeId), value: status }, ...abroad]
      .map((write) => ({ ...write, expireInMs: SUPERNODE_EXPIRY_MS }));
  }

  #placeKey(supernodeId: string): Deno.KvKey {
    return [this.#space, "supernode_place", supernodeId];
  }

  #listingKey(region: string, supernodeId: string): Deno.KvKey {
    return [this.#space, "supernode", region, supernodeId];
  }

  #statusKey(region: string, supernodeId: string): Deno.KvKey {
    return [this.#space, "supernode_status", region, supernodeId];
  }

  #keysAt(region: string, supernodeId: string): Deno.KvKey[] {
    return [this.#listingKey(region, supernodeId), this.#statusKey(region, supernodeId)];
  }
}

function join(listing: SupernodeListing, status: StoredStatus): SupernodeRecord {
  const { supernodeId: _id, region: _region, heartbeatAtMs, expiresAtMs, ...changing } = status;
  return { ...listing, status: changing, heartbeatAtMs, expiresAtMs };
}
