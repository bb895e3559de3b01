/**
 * Records that are kept in stores and do not travel as they are: what `kv/` writes beside the records of the directory
 * and of sessions, and reads back through these schemas, since it may be another version's. Where each lies is in
 * `kv/README.md`.
 */

import { z } from "zod";
import { appliedEntrySchema } from "./control/applied_commands.ts";
import { supernodeRecordSchema, supernodeStatusSchema } from "./directory.ts";
import { countSchema, nameSchema, peerIdSchema, timeSchema } from "./fields.ts";

/** What lasts of a supernode. */
export const supernodeListingSchema = supernodeRecordSchema.omit({
  status: true,
  heartbeatAtMs: true,
  expiresAtMs: true,
});
export type SupernodeListing = z.infer<typeof supernodeListingSchema>;

/** What changes of it all the time. */
export const storedStatusSchema = supernodeStatusSchema.extend({
  supernodeId: peerIdSchema,
  region: nameSchema,
  heartbeatAtMs: timeSchema,
  expiresAtMs: timeSchema,
});
export type StoredStatus = z.infer<typeof storedStatusSchema>;

/** Under a region that is not its own, but has exits of it: where to look it up, and whether that still counts. */
export const supernodeAbroadSchema = storedStatusSchema.pick({ supernodeId: true, region: true, expiresAtMs: true });
export type SupernodeAbroad = z.infer<typeof supernodeAbroadSchema>;

/** Where it is listed. */
export const supernodePlaceSchema = z.object({ region: nameSchema, registeredAtMs: timeSchema });
export type SupernodePlace = z.infer<typeof supernodePlaceSchema>;

export const storedNonceSchema = z.object({ expiresAtMs: timeSchema });

/** Which process of a downstream has the listener of a mailbox. */
export const storedListenerSchema = z.object({ processId: z.string().min(1).max(64), expiresAtMs: timeSchema });
export type StoredListener = z.infer<typeof storedListenerSchema>;
/** One message in a mailbox. */
export const storedMailSchema = z.object({ message: z.instanceof(Uint8Array), expiresAtMs: timeSchema });
/** How much lies in a mailbox. */
export const storedMailRoomSchema = z.object({ bytes: countSchema, next: countSchema, expiresAtMs: timeSchema });

/** The snapshot is checked by `CommandQueue.restore`. */
export const storedQueueSchema = z.object({
  peerId: peerIdSchema,
  snapshot: z.looseObject({ commands: z.array(z.unknown()) }),
  keepUntilMs: timeSchema,
});
export type StoredQueueRecord = z.infer<typeof storedQueueSchema>;

export const storedAppliedSchema = z.object({ order: z.number(), entry: appliedEntrySchema });

export const storedFloorSchema = z.object({
  order: z.number(),
  floor: z.object({ supernodeId: peerIdSchema, finishedThrough: countSchema, evictedThrough: countSchema }),
});

/** Who owns a space of a store. */
export const leaseRecordSchema = z.object({
  /** Goes up with every taking. */
  epoch: countSchema,
  /** For people. */
  holder: z.string().max(256),
  takenAtMs: timeSchema,
});
export type LeaseRecord = z.infer<typeof leaseRecordSchema>;

export const blockKinds = ["peer", "supernode"] as const;
export type BlockKind = (typeof blockKinds)[number];

/** Somebody whom an administrator has turned away. */
export const blockSchema = z.object({
  kind: z.enum(blockKinds),
  peerId: peerIdSchema,
  /** Who did it, for people. */
  by: z.string().max(128),
  reason: z.string().max(1024),
  sinceMs: timeSchema,
});
export type Block = z.infer<typeof blockSchema>;

/** What an administrator did; the store adds when, and a name for it. */
export const auditEventSchema = z.object({
  /** Who asked: the name of an admin token, or an address. Never a secret. */
  actor: z.string().max(128),
  /** What was asked, such as "revoke" or "drain". */
  action: z.string().max(64),
  /** Whom it is about: a peer, a session, a supernode. */
  subject: z.string().max(256).optional(),
  outcome: z.enum(["done", "refused", "failed"]),
  detail: z.string().max(1024).optional(),
});
export type AuditEvent = z.infer<typeof auditEventSchema>;

export const auditEntrySchema = auditEventSchema.extend({
  /** `<atMs>-<number>`: where the entry stands. */
  id: z.string().regex(/^\d{1,16}-\d{1,9}$/),
  atMs: timeSchema,
});
export type AuditEntry = z.infer<typeof auditEntrySchema>;
