/**
 * The relays as base lists them, page by page, to anyone who asks.
 *
 *   store, blocks ─▶ all that may be shown, in order (once a second at most) ─▶ those of a kind and region ─▶ page
 *
 * To ask costs a stranger next to nothing, so that the store is read once for all who ask within a second. A page ends
 * with a cursor, which is the place of its last record in the order, not a number: what comes and goes between two pages
 * moves nothing else. Gateways count like relays of their own, so that no page is long. A relay whose load changes in between may be met twice or not at all.
 */

import { byUse, type RelayStore } from "../../kv/relays.ts";
import type { Clock } from "../../protocol/clock.ts";
import { MAX_RELAY_PAGE, type RelayList, type RelayQuery, type RelayRecord } from "../../protocol/directory.ts";

const FRESH_MS = 1000;
const DEFAULT_COUNT = 64;

export interface RelayListingOptions {
  readonly store: Pick<RelayStore, "list">;
  /** Those of the records that may be shown now. */
  shown(records: readonly RelayRecord[]): Promise<readonly RelayRecord[]>;
  readonly clock: Clock;
}

/** A record's place in the order. */
type Place = Pick<RelayRecord, "load" | "bandwidthMbps" | "kind" | "relayId">;

export class RelayListing {
  readonly #options: RelayListingOptions;
  #records: Promise<readonly RelayRecord[]> | undefined;
  #readAtMs = 0;

  constructor(options: RelayListingOptions) {
    this.#options = options;
  }

  /** Rejects as the store does. */
  async page({ kind, region, count = DEFAULT_COUNT, after }: RelayQuery): Promise<RelayList> {
    const last = after === undefined ? undefined : placeOf(after);
    const relays: RelayRecord[] = [];
    let room = MAX_RELAY_PAGE;
    for (const record of await this.#fresh()) {
      if ((kind ?? record.kind) !== record.kind || (region ?? record.region) !== record.region) continue;
      if (last && byUse(record, last) <= 0) continue;
      room -= 1 + (record.gateways?.length ?? 0);
      if (relays.length === count || room < 0) return { relays, next: cursorOf(relays.at(-1)!) };
      relays.push(record);
    }
    return { relays };
  }

  #fresh(): Promise<readonly RelayRecord[]> {
    const nowMs = this.#options.clock.now();
    if (this.#records && nowMs - this.#readAtMs < FRESH_MS) return this.#records;
    this.#readAtMs = nowMs;
    const records = this.#records = this.#read();
    // Who asks next does not get an old failure.
    records.catch(() => this.#records === records && (this.#records = undefined));
    return records;
  }

  async #read(): Promise<readonly RelayRecord[]> {
    const { store, shown } = this.#options;
    return await shown(await store.list());
  }
}

function cursorOf({ load, bandwidthMbps = 0, kind, relayId }: Place): string {
  return [load, bandwidthMbps, kind, relayId].join("_");
}

/** Any text that the schema lets through is some place. */
function placeOf(cursor: string): Place {
  const [load, bandwidth, kind, relayId] = cursor.split("_");
  return { load: Number(load), bandwidthMbps: Number(bandwidth), kind: kind as Place["kind"], relayId: relayId! };
}
