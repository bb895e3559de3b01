/**
 * What a tracker keeps in a store, and what the processes on one store tell each other. `kv/tracker/` reads and writes it.
 */

import { z } from "zod";
import { countSchema, nameSchema, peerIdSchema, shareSchema, timeSchema } from "../fields.ts";
import { heartbeatSchema, reportSchema } from "./messages.ts";
import { MARK_BYTES } from "./token.ts";

/** A peer as it registered; when it was last heard of is kept apart, since that changes all the time. */
export const storedPeerSchema = z.object({
  peerId: peerIdSchema,
  card: z.string().max(8192),
  region: nameSchema.optional(),
  capabilities: z.array(nameSchema).max(16),
  observedAddress: z.string().max(45),
  mark: z.instanceof(Uint8Array<ArrayBuffer>).refine(({ length }) => length === MARK_BYTES),
});
export type StoredPeer = z.infer<typeof storedPeerSchema>;

export const storedSeenSchema = heartbeatSchema.extend({ seenAtMs: timeSchema });
export type StoredSeen = z.infer<typeof storedSeenSchema>;

export const storedVoicesSchema = z.array(
  z.object({ by: peerIdSchema, score: shareSchema, mbps: z.number().min(0) }),
).max(16);

/** How many news a process has told. */
export const storedWriterSchema = z.object({ sequence: countSchema });

/** What one process has done in one commit, for the others. */
export const storedNewsSchema = z.object({
  sequence: countSchema,
  atMs: timeSchema,
  /** Their records are to be read. */
  registered: z.array(peerIdSchema),
  seen: z.array(heartbeatSchema.extend({ peerId: peerIdSchema })),
  left: z.array(peerIdSchema),
  reports: z.array(reportSchema.extend({ by: peerIdSchema })),
});
export type StoredNews = z.infer<typeof storedNewsSchema>;
