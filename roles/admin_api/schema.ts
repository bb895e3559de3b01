/**
 * What goes over the APIs of all administrators: how lists are asked for and answered, blocks, the audit log.
 */

import { z } from "zod";
import { countSchema, peerIdSchema } from "../../protocol/fields.ts";
import { auditEntrySchema, blockSchema } from "../../protocol/stored_records.ts";

/** The most that one answer lists. */
export const MAX_LISTED = 1000;

export const blockBody = z.object({
  kind: blockSchema.shape.kind,
  peerId: peerIdSchema,
  reason: z.string().max(1024).default(""),
});

/** Each list is in the order of its ids, so that `after` finds its place again whatever has come and gone. */
export const listQuery = z.object({
  limit: z.int().min(1).max(MAX_LISTED).default(100),
  after: z.string().max(64).optional(),
  /** Only what concerns this peer. */
  peer: peerIdSchema.optional(),
});
export type ListQuery = z.output<typeof listQuery>;

export const auditQuery = z.object({
  limit: listQuery.shape.limit,
  before: auditEntrySchema.shape.id.optional(),
});

/** What every page of a list says beside what it lists. */
export const pageAnswer = { total: countSchema, next: z.string().optional() };
export const blocksAnswer = z.object({ ...pageAnswer, blocks: z.array(blockSchema) });
export const auditAnswer = z.object({ entries: z.array(auditEntrySchema), next: auditEntrySchema.shape.id.optional() });

export const blockedAnswer = z.object({
  /** Whether it was connected until now. */
  wasConnected: z.boolean(),
});

export const doneAnswer = z.object({ ok: z.literal(true) });
