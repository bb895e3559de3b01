/**
 * What administrators did, to whom and with what outcome, newest first. Entries are added, never changed, and gone
 * after `keepMs`; in memory also when there are more than `MAX_MEMORY_ENTRIES`, the oldest first.
 *
 *   <space> "audit" atMs number        AuditEntry; the number tells entries of one millisecond apart
 *
 * Nothing here keeps an administrator with access to the store from rewriting it.
 */

import { z } from "zod";
import type { Clock } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import { commitIf } from "./commit.ts";
import { findAll, type KvSpace } from "./records.ts";

const DAY_MS = 86_400_000;
const DEFAULT_KEEP_MS = 90 * DAY_MS;
const MAX_MEMORY_ENTRIES = 10_000;
const MAX_LISTED = 1000;
/** More entries than this within one millisecond mean that somebody is not an administrator. */
const MAX_PER_MILLISECOND = 1000;

export const auditEntrySchema = z.object({
  atMs: z.number().int().nonnegative(),
  /** Who asked: the name of an admin token, or an address. Never a secret. */
  actor: z.string().max(128),
  /** What was asked, such as "revoke" or "drain". */
  action: z.string().max(64),
  /** Whom it is about: a peer, a session, a supernode. */
  subject: z.string().max(256).optional(),
  outcome: z.enum(["done", "refused", "failed"]),
  detail: z.string().max(1024).optional(),
});
export type AuditEntry = z.infer<typeof auditEntrySchema>;

export interface AuditPage {
  /** At most this many. @default 100 */
  readonly limit?: number;
  /** Only what is older, to ask for the next page. */
  readonly beforeMs?: number;
}

export interface AuditStore {
  /** Adds an entry at the present time and gives it back. Throws `invalid_entry` for one that is too long. */
  append(entry: Omit<AuditEntry, "atMs">): Promise<AuditEntry>;
  /** The newest first. Entries of one millisecond are never split over two pages by `beforeMs`, so a page may run over. */
  list(page?: AuditPage): Promise<AuditEntry[]>;
}

export interface AuditOptions {
  /** How long an entry is kept. @default 90 days */
  readonly keepMs?: number;
}
