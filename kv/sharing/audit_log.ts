/**
 * The audit log of an orchestrator: what was done or refused, by whom, in a chain of hashes (`protocol/sharing/audit_chain.ts`).
 * Entries are added, never changed, and never forgotten. One contract suite, three makers: in memory here, on Deno KV in
 * `kv_audit_log.ts`, on PostgreSQL in `../postgres/audit_log.ts`.
 *
 * An append resolves once the entry would survive a crash. One that rejects may have been written all the same, when the
 * store went away at that moment.
 */

import type { Clock } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { portablePrimitives, type Primitives } from "../../protocol/primitives.ts";
import {
  ChainCheck,
  type ChainedEntry,
  chainEntry,
  type ChainHead,
  type ChainVerdict,
  EMPTY_CHAIN,
} from "../../protocol/sharing/audit_chain.ts";
import type { AuditEvent } from "../../protocol/stored_records.ts";
import { checkEvent } from "../audit.ts";

const MAX_PAGE = 1000;
const MAX_MEMORY_ENTRIES = 100_000;

export interface AuditLogPage {
  /** @default 100, at most 1000 */
  readonly limit?: number;
  /** The id of the last entry of the page before this one. */
  readonly before?: string;
}

export interface AuditLog {
  /** Adds an entry at the present time and gives it back. Throws `invalid_option` for one that does not fit. */
  append(event: AuditEvent): Promise<ChainedEntry>;
  /** The newest first. */
  list(page?: AuditLogPage): Promise<ChainedEntry[]>;
  /**
   * Follows the chain from the first entry to the last. It must pass the heads that are given, and the last one that was
   * added through this object.
   */
  verify(anchors?: readonly ChainHead[]): Promise<ChainVerdict>;
}

export interface AuditLogOptions {
  readonly primitives?: Pick<Primitives, "sha256">;
}

/** An event at its time. */
export type TimedEvent = AuditEvent & { readonly atMs: number };

export function timed(clock: Clock, event: AuditEvent): TimedEvent {
  return { ...checkEvent(event), atMs: Math.floor(clock.wallNow()) };
}

/** The entries of several events, one after another. */
export function chainOn(
  primitives: Pick<Primitives, "sha256">,
  head: ChainHead,
  events: readonly TimedEvent[],
): ChainedEntry[] {
  const entries: ChainedEntry[] = [];
  for (const event of events) entries.push(chainEntry(primitives, entries.at(-1) ?? head, event));
  return entries;
}

export function readAuditPage(
  { limit = 100, before }: AuditLogPage,
): { readonly limit: number; readonly before: number | undefined } {
  const deed = "list the audit log";
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE) {
    throw new CulvertError("invalid_option", `Cannot ${deed}: limit must be 1 to ${MAX_PAGE}, got ${limit}`);
  }
  if (before === undefined) return { limit, before };
  if (/^[1-9]\d{0,14}$/.test(before)) return { limit, before: Number(before) };
  throw new CulvertError("invalid_option", `Cannot ${deed}: before must be an entry's id, got ${before}`);
}

/** Follows what comes in pages, the oldest first. */
export async function checkChain(
  check: ChainCheck,
  pages: AsyncIterable<readonly ChainedEntry[]>,
): Promise<ChainVerdict> {
  for await (const page of pages) if (!page.every((entry) => check.add(entry))) break;
  return check.end();
}

/** An audit log that lasts as long as the process. It is full (`store_full`) with 100,000 entries. */
export function createMemoryAuditLog(
  clock: Clock,
  { primitives = portablePrimitives }: AuditLogOptions = {},
): AuditLog {
  const entries: ChainedEntry[] = [];
  return {
    append: (event) =>
      Promise.try(() => {
        const checked = timed(clock, event);
        if (entries.length >= MAX_MEMORY_ENTRIES) {
          const message = `Cannot add to the audit log: there must be at most ${MAX_MEMORY_ENTRIES} entries in memory`;
          throw new CulvertError("store_full", message);
        }
        const entry = chainEntry(primitives, entries.at(-1) ?? EMPTY_CHAIN, checked);
        entries.push(entry);
        return { ...entry };
      }),
    list: (page = {}) =>
      Promise.try(() => {
        const { limit, before } = readAuditPage(page);
        const end = before === undefined ? entries.length : Math.min(before - 1, entries.length);
        return entries.slice(Math.max(0, end - limit), end).reverse().map((entry) => ({ ...entry }));
      }),
    verify: (anchors = []) =>
      Promise.try(() => {
        const check = new ChainCheck(primitives, anchors);
        entries.every((entry) => check.add(entry));
        return check.end();
      }),
  };
}
