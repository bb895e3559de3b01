/**
 * An audit log that shows when it was tampered with: each entry carries the hash of the one before it.
 *
 *   hash = SHA-256( "culvert-audit-v1" ‖ canonical JSON of [previousHash, sequence, atMs, actor, action, subject, outcome, detail] )
 *
 * Canonical: an array in this order without spaces, null for what is left out, texts well-formed. Sequences are 1, 2, 3 …
 * and the first entry's previous hash is all zero, so an entry that was changed, removed, added or put elsewhere breaks the
 * chain there.
 *
 * What a chain cannot show by itself is that its newest entries are gone, or that all of it was written anew: for that,
 * somebody must remember a head, the newest sequence and hash, elsewhere. `ChainCheck` holds the log against one.
 */

import { z } from "zod";
import { timeSchema } from "../fields.ts";
import type { Primitives } from "../primitives.ts";
import { type AuditEvent, auditEventSchema } from "../stored_records.ts";

const DOMAIN = "culvert-audit-v1";

const hashSchema = z.string().regex(/^[0-9a-f]{64}$/);
const sequenceSchema = z.int().min(1);

export const chainedEntrySchema = auditEventSchema.extend({
  /** The sequence, for who only knows ids. */
  id: z.string().regex(/^[1-9]\d{0,15}$/),
  sequence: sequenceSchema,
  atMs: timeSchema,
  previousHash: hashSchema,
  /** In hexadecimal. */
  hash: hashSchema,
});
export type ChainedEntry = z.infer<typeof chainedEntrySchema>;

/** Where a chain ends. */
export const chainHeadSchema = z.object({ sequence: z.int().min(0), hash: hashSchema });
export type ChainHead = z.infer<typeof chainHeadSchema>;

/** Before the first entry. */
export const EMPTY_CHAIN: ChainHead = { sequence: 0, hash: "0".repeat(64) };

/** The entry that follows on `head`. Texts become well-formed and lose NULs, which not every store can keep. */
export function chainEntry(
  primitives: Pick<Primitives, "sha256">,
  head: ChainHead,
  event: AuditEvent & { readonly atMs: number },
): ChainedEntry {
  const { actor, action, subject, outcome, detail, atMs } = event;
  const sequence = head.sequence + 1;
  const content = {
    actor: clean(actor),
    action: clean(action),
    ...subject !== undefined && { subject: clean(subject) },
    outcome,
    ...detail !== undefined && { detail: clean(detail) },
    id: String(sequence),
    sequence,
    atMs,
    previousHash: head.hash,
  };
  return { ...content, hash: hashOf(primitives, content) };
}

function clean(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\ufffd");
}

function hashOf(primitives: Pick<Primitives, "sha256">, entry: Omit<ChainedEntry, "hash">): string {
  const { previousHash, sequence, atMs, actor, action, subject = null, outcome, detail = null } = entry;
  const canonical = JSON.stringify([previousHash, sequence, atMs, actor, action, subject, outcome, detail]);
  return primitives.sha256(new TextEncoder().encode(DOMAIN + canonical)).toHex();
}

/** Follows a chain from its first entry to its last. */
export class ChainCheck {
  readonly #primitives: Pick<Primitives, "sha256">;
  readonly #anchors: readonly ChainHead[];
  #head = EMPTY_CHAIN;
  #problem: string | undefined;

  /** `anchors`: heads that somebody remembers; the chain must have passed each. */
  constructor(primitives: Pick<Primitives, "sha256">, anchors: readonly ChainHead[] = []) {
    this.#primitives = primitives;
    this.#anchors = anchors;
  }

  /** The next entry; false at the first one that does not follow. */
  add(entry: ChainedEntry): boolean {
    this.#problem ??= this.#problemOf(entry);
    if (this.#problem !== undefined) return false;
    this.#head = { sequence: entry.sequence, hash: entry.hash };
    return true;
  }

  /** After the last entry. */
  end(): ChainVerdict {
    const missing = this.#anchors.find(({ sequence }) => sequence > this.#head.sequence);
    const detail = this.#problem ?? (missing && `entries up to ${missing.sequence} are missing at the end`);
    return { isWhole: detail === undefined, entries: this.#head.sequence, head: this.#head, detail };
  }

  #problemOf(entry: ChainedEntry): string | undefined {
    const { sequence, previousHash, hash } = entry;
    const expected = this.#head.sequence + 1;
    if (sequence !== expected) return `entry ${expected} is missing: ${sequence} stands in its place`;
    if (previousHash !== this.#head.hash) return `entry ${sequence} does not follow on the one before it`;
    if (hash !== hashOf(this.#primitives, entry)) return `entry ${sequence} was changed`;
    const isOther = this.#anchors.some((anchor) => anchor.sequence === sequence && anchor.hash !== hash);
    if (isOther) return `entry ${sequence} is not the one that is remembered`;
    return undefined;
  }
}

export interface ChainVerdict {
  readonly isWhole: boolean;
  /** How many follow on each other from the first. */
  readonly entries: number;
  /** The last of these. */
  readonly head: ChainHead;
  /** What is wrong, and where. */
  readonly detail: string | undefined;
}
