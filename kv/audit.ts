/**
 * What administrators did, to whom and with what outcome, newest first. Entries are added, never changed, and gone
 * after `keepMs`; in memory also when there are more than `MAX_MEMORY_ENTRIES`, the oldest first.
 *
 *   <space> "audit" atMs number        AuditEntry; the number tells entries of one millisecond apart
 *
 * Nothing here keeps whoever has access to the store itself from rewriting it.
 */

import type { Clock } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import { type AuditEntry, auditEntrySchema, type AuditEvent, auditEventSchema } from "../protocol/stored_records.ts";
import { commitIf, untilCommitted } from "./commit.ts";
import { type KvSpace, readAll } from "./records.ts";

const DEFAULT_KEEP_MS = 90 * 86_400_000;
const MAX_MEMORY_ENTRIES = 10_000;
const MAX_PAGE = 1000;

export interface AuditPage {
  /** @default 100, at most 1000 */
  readonly limit?: number;
  /** The id of the last entry of the page before this one. */
  readonly before?: string;
}

export interface AuditStore {
  /** Adds an entry at the present time and gives it back. Throws `invalid_option` for one that does not fit. */
  append(event: AuditEvent): Promise<AuditEntry>;
  /** The newest first. */
  list(page?: AuditPage): Promise<AuditEntry[]>;
}

export interface AuditOptions {
  /** How long an entry is kept. @default 90 days */
  readonly keepMs?: number;
}

/** An entry's place in time. */
interface Place {
  readonly atMs: number;
  readonly number: number;
}

function entryAt(event: AuditEvent, { atMs, number }: Place): AuditEntry {
  return { ...event, id: `${atMs}-${number}`, atMs };
}

/** The event, if it fits; throws `invalid_option` if it does not. */
export function checkEvent(event: AuditEvent): AuditEvent {
  const { success, data, error } = auditEventSchema.safeParse(event);
  if (success) return data;
  const { path, message } = error.issues[0]!;
  throw new CulvertError("invalid_option", `Cannot add to the audit log: ${path.join(".")}: ${message}`);
}

function readPage({ limit = 100, before }: AuditPage): { readonly limit: number; readonly before: Place | undefined } {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE) {
    throw new CulvertError("invalid_option", `Cannot list the audit log: limit must be 1 to ${MAX_PAGE}, got ${limit}`);
  }
  if (before === undefined) return { limit, before };
  if (!auditEntrySchema.shape.id.safeParse(before).success) {
    throw new CulvertError("invalid_option", `Cannot list the audit log: before must be an entry's id, got ${before}`);
  }
  const [atMs, number] = before.split("-").map(Number);
  return { limit, before: { atMs: atMs!, number: number! } };
}

/** Gives each entry a place after the last one, also when the wall clock is set back. */
class Places {
  #last: Place = { atMs: -1, number: 0 };

  next(wallMs: number): Place {
    const { atMs, number } = this.#last;
    this.#last = wallMs > atMs ? { atMs: wallMs, number: 0 } : { atMs, number: number + 1 };
    return this.#last;
  }
}

/** An audit log that lasts as long as the process. */
export function createMemoryAudit(clock: Clock, { keepMs = DEFAULT_KEEP_MS }: AuditOptions = {}): AuditStore {
  const places = new Places();
  const entries: AuditEntry[] = [];
  return {
    // What is thrown in here is a rejection.
    append: (event) =>
      Promise.try(() => {
        const entry = entryAt(checkEvent(event), places.next(clock.wallNow()));
        entries.push(entry);
        if (entries.length > MAX_MEMORY_ENTRIES) entries.shift();
        return entry;
      }),
    list: (page = {}) =>
      Promise.try(() => {
        const { limit, before } = readPage(page);
        const oldestMs = clock.wallNow() - keepMs;
        const at = before ? entries.findIndex((entry) => !isBefore(entry, before)) : -1;
        return entries.slice(0, at < 0 ? undefined : at).filter(({ atMs }) => atMs > oldestMs).slice(-limit).reverse();
      }),
  };
}

function isBefore({ id }: AuditEntry, { atMs, number }: Place): boolean {
  const [entryMs, entryNumber] = id.split("-").map(Number);
  return entryMs! < atMs || entryMs === atMs && entryNumber! < number;
}

/** An audit log in Deno KV. */
export function createKvAudit(
  kv: Deno.Kv,
  clock: Clock,
  { space, guard, keepMs = DEFAULT_KEEP_MS }: KvSpace & AuditOptions,
): AuditStore {
  const places = new Places();
  const prefix = [space, "audit"];
  return {
    async append(event) {
      const checked = checkEvent(event);
      const deed = "add to the audit log";
      let entry: AuditEntry;
      // Another process may have had the place.
      await untilCommitted(deed, () => {
        const place = places.next(clock.wallNow());
        entry = entryAt(checked, place);
        const key = [...prefix, place.atMs, place.number];
        return commitIf({ kv, clock, guard }, deed, {
          checks: [{ key, versionstamp: null }],
          mutations: [{ key, value: entry, expireInMs: keepMs }],
        });
      });
      return entry!;
    },
    async list(page = {}) {
      const { limit, before } = readPage(page);
      const end = before && [...prefix, before.atMs, before.number];
      const deed = "list the audit log";
      const entries = await readAll(kv, deed, { prefix, schema: auditEntrySchema, limit, reverse: true, end });
      const oldestMs = clock.wallNow() - keepMs;
      return entries.filter(({ atMs }) => atMs > oldestMs);
    },
  };
}
